//! Questions and answers, and what is refused.

use candor_domain::{Error, ErrorCode};

use super::super::*;
use super::fake::*;

const X: [f32; 3] = [1.0, 2.0, 3.0];

fn exact_only() -> Scene {
    Scene::new(Fakes::default().with("candor.exact_shap", exact))
}

fn margin_of(method: Method) -> Question {
    Question { space: Some(Space::Margin), outputs: vec![OutputPick::Name("yes".into())], ..ask(method) }
}

#[test]
fn shares_of_a_margin_are_those_of_the_formula_and_come_to_what_was_served() {
    let (scene, subject) = (exact_only(), Linear::new());
    let explained = scene.here(&subject, &margin_of(Method::Exact), &X).unwrap();
    assert_eq!((explained.space, explained.outputs.as_slice()), (Space::Margin, &["yes".to_owned()][..]));
    assert_eq!(explained.features, ["a", "b", "c"]);
    let row = &explained.rows[0];
    // The golden rows: means 0, 1/3 and 2/3.
    let means = [0.0, 1.0 / 3.0, 2.0 / 3.0];
    for (at, share) in row.shares.iter().enumerate() {
        let want = WEIGHTS[at] * (f64::from(X[at]) - means[at]);
        // The engine answers singles, whose logit is what can be known of the margin.
        assert!((share - want).abs() < 1e-4, "{at}: {share} {want}");
    }
    assert!(row.additivity[0].holds, "{:?}", row.additivity);
    assert_eq!(row.served[0].agrees, Some(true));
    let served = 1.0 / (1.0 + (-margin(&[1.0, 2.0, 3.0])).exp());
    assert!((row.served[0].value - served).abs() < 1e-6);
    assert_eq!(row.values[1], Shown::One(ShownCell::Single(2.0)));
    let background = explained.background.unwrap();
    assert_eq!((background.id.as_str(), background.source, background.rows), ("golden", Source::Golden, 3));
    assert!(explained.method.reason.is_none() && explained.method.is_additive);
    // One run for the answer itself, and one for each evaluation.
    assert_eq!(explained.evaluations, 1 + 3 * 5);
}

#[test]
fn without_a_space_what_is_served_is_explained_for_every_class() {
    let (scene, subject) = (exact_only(), Linear::new());
    let explained = scene.here(&subject, &ask(Method::Exact), &[0.5, 0.5, 0.5, 1.0, 0.0, 0.0]).unwrap();
    assert_eq!((explained.space, explained.outputs.join(" ")), (Space::Probability, "no yes".to_owned()));
    for row in &explained.rows {
        assert!(row.additivity.iter().all(|one| one.holds));
        assert!(row.served.iter().all(|one| one.agrees == Some(true)));
        // What one class gains the other loses.
        assert!(row.shares.chunks(2).all(|pair| (pair[0] + pair[1]).abs() < 1e-6));
    }
}

#[test]
fn auto_asks_the_graph_first_and_says_why_it_chose_what_it_chose() {
    let with_graph = || {
        let mut subject = Linear::new();
        subject.about.graph = Some("model.onnx".into());
        subject
    };
    let auto = |components: Fakes, subject: &Linear| {
        let scene = Scene::new(components);
        let explained = scene.here(subject, &Question::default(), &X).unwrap();
        let opened: Vec<String> = scene.components.opened.lock().unwrap().iter().map(|(id, _)| id.clone()).collect();
        (explained.method, opened)
    };
    // A graph that is linear.
    let (method, opened) = auto(Fakes::default().with("candor.linear_shap", exact), &with_graph());
    assert_eq!((method.method, method.reason.as_deref()), (Method::Linear, Some("the graph is linear")));
    assert_eq!(opened, ["candor.linear_shap"]);
    assert_eq!(serde_json::Value::Object(method.config), serde_json::json!({"file": "model.onnx", "space": "margin"}));
    // One of trees.
    let refusal = || Error::new(ErrorCode::Unsupported, "node 3 (Softplus) is no linear model");
    let trees = Fakes::default().refusing("candor.linear_shap", refusal()).with("candor.tree_shap", exact);
    let (method, _) = auto(trees, &with_graph());
    assert_eq!(method.method, Method::Tree);
    // Neither, and few features.
    let neither = Fakes::default()
        .refusing("candor.linear_shap", refusal())
        .refusing("candor.tree_shap", Error::new(ErrorCode::Unsupported, "no trees"))
        .with("candor.exact_shap", exact);
    let (method, _) = auto(neither, &with_graph());
    assert_eq!(method.method, Method::Exact);
    let reason = method.reason.unwrap();
    assert!(reason.starts_with("3 features are few enough to try every coalition"), "{reason}");
    assert!(reason.contains("linear: node 3 (Softplus) is no linear model; tree: no trees"), "{reason}");
    // No graph to ask: a plugin, an ensemble, stages.
    let (method, opened) = auto(Fakes::default().with("candor.kernel_shap", exact), &Linear::new());
    assert_eq!(method.method, Method::Kernel);
    assert_eq!(opened, ["candor.exact_shap", "candor.kernel_shap"]);
}

#[test]
fn a_method_that_cannot_is_refused_with_its_reason_at_the_method() {
    let scene =
        Scene::new(Fakes::default().refusing("candor.tree_shap", Error::new(ErrorCode::Unsupported, "no trees")));
    let mut subject = Linear::new();
    let refused = |subject: &Linear, method: Method| {
        let error = scene.here(subject, &ask(method), &X).unwrap_err();
        (error.code(), error.place().unwrap().to_owned(), error.what().to_owned())
    };
    let (code, at, what) = refused(&subject, Method::Tree);
    assert_eq!((code, at.as_str()), (ErrorCode::Unsupported, "method"), "{what}");
    subject.about.graph = Some("model.onnx".into());
    let (code, at, what) = refused(&subject, Method::Tree);
    assert_eq!((code, at.as_str()), (ErrorCode::InvalidInput, "method"));
    assert_eq!(what, "method \"tree\" cannot explain this version: no trees");
    let (code, at, _) = refused(&subject, Method::Component("acme.mine".into()));
    assert_eq!((code, at.as_str()), (ErrorCode::InvalidInput, "method"));
}

#[test]
fn what_is_asked_wrongly_is_refused_by_name() {
    let (scene, subject) = (exact_only(), Linear::new());
    let refused = |question: Question, x: &[f32]| {
        let error = scene.here(&subject, &question, x).unwrap_err();
        (error.code(), error.place().unwrap_or_default().to_owned())
    };
    let exact = || ask(Method::Exact);
    let invalid = ErrorCode::InvalidInput;
    let pick = |pick: OutputPick| Question { outputs: vec![pick], ..exact() };
    assert_eq!(refused(pick(OutputPick::Name("maybe".into())), &X), (invalid, "output".into()));
    assert_eq!(refused(pick(OutputPick::Index(2)), &X), (invalid, "output".into()));
    let twice = vec![OutputPick::Index(0), OutputPick::Name("no".into())];
    assert_eq!(refused(Question { outputs: twice, ..exact() }, &X), (invalid, "output/1".into()));
    assert_eq!(refused(Question { space: Some(Space::Raw), ..exact() }, &X), (invalid, "space".into()));
    assert_eq!(refused(Question { budget: Some(0), ..exact() }, &X), (invalid, "budget".into()));
    assert_eq!(refused(Question { budget: Some(u64::MAX), ..exact() }, &X), (invalid, "budget".into()));
    let many = vec![0.0; 3 * 101];
    assert_eq!(refused(exact(), &many), (ErrorCode::TooLarge, "rows".into()));
    let named = |id: &str| BackgroundChoice { id: Some(id.into()), summary: None };
    assert_eq!(
        refused(Question { background: named("u-1"), ..exact() }, &X),
        (ErrorCode::NotFound, "background".into())
    );
    for key in ["file", "space", "link"] {
        let options = [(key.to_owned(), serde_json::json!("x"))].into_iter().collect();
        assert_eq!(refused(Question { options, ..exact() }, &X), (invalid, format!("options/{key}")));
    }
    let group = |members: &[&str]| {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        Question { groups: Groups::Named(vec![("g".into(), members)]), ..exact() }
    };
    assert_eq!(refused(group(&["a", "d"]), &X), (invalid, "groups/g".into()));
    assert_eq!(refused(group(&["a", "a"]), &X), (invalid, "groups/g".into()));
    assert_eq!(refused(Question { groups: Groups::Declared, ..exact() }, &X), (invalid, "groups".into()));
}

#[test]
fn features_of_a_group_have_one_share() {
    let (scene, mut subject) = (exact_only(), Linear::new());
    let alone = scene.here(&subject, &margin_of(Method::Exact), &X).unwrap();
    let groups = Groups::Named(vec![("sizes".into(), vec!["c".into(), "a".into()])]);
    let grouped = Question { groups, ..margin_of(Method::Exact) };
    let together = scene.here(&subject, &grouped, &X).unwrap();
    assert_eq!(together.features, ["sizes", "b"]);
    let (alone, shares) = (&alone.rows[0].shares, &together.rows[0].shares);
    assert!((shares[0] - alone[0] - alone[2]).abs() < 1e-9 && (shares[1] - alone[1]).abs() < 1e-9);
    let Shown::Group(values) = &together.rows[0].values[0] else { panic!("no group") };
    assert_eq!(values.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    subject.about.features[1].group = Some("others".into());
    let declared = Question { groups: Groups::Declared, ..margin_of(Method::Exact) };
    assert_eq!(scene.here(&subject, &declared, &X).unwrap().features, ["a", "others", "c"]);
}

#[test]
fn shares_that_do_not_add_up_are_flagged_and_counted() {
    let off = |inputs: &[(&str, &candor_domain::Tensor)], call: &candor_domain::ComponentCall<'_>| {
        let mut told = exact(inputs, call)?;
        let base: Vec<f64> = floats(&told[1].1).iter().map(|base| base + 0.01).collect();
        told[1].1 = column(base, &[1, 1]);
        Ok(told)
    };
    let scene = Scene::new(Fakes::default().with("candor.exact_shap", off));
    let explained = scene.here(&Linear::new(), &margin_of(Method::Exact), &X).unwrap();
    let row = &explained.rows[0];
    assert!(!row.additivity[0].holds && (row.additivity[0].residual - 0.01).abs() < 1e-9);
    assert!(row.additivity[0].tolerance > 0.0 && row.additivity[0].tolerance < 1e-3);
    assert_eq!(row.served[0].agrees, Some(false));
    let counts = scene.explanations.counts();
    assert_eq!((counts.apart, counts.rows, counts.evaluations), (1, 1, explained.evaluations));
    let exact = counts.methods.iter().find(|of| of.method == "exact").unwrap();
    assert_eq!(exact.outcomes[0], ("success", 1));
}

#[test]
fn an_explainer_that_breaks_the_contract_is_to_blame_and_not_the_caller() {
    type Break = fn(&mut Vec<(String, candor_domain::Tensor)>);
    let breaks: [(Break, &str); 5] = [
        (|told| told.truncate(0), "gave no attributions"),
        (|told| told.retain(|(name, _)| name != "base"), "gave no base"),
        (|told| told[0].1 = column(vec![0.0; 7], &[7]), "of another shape"),
        (|told| told[1].1 = column(vec![0.0; 5], &[5]), "a base of another shape"),
        (|told| told[0].1 = column(vec![f64::NAN; 3], &[1, 3, 1]), "not finite"),
    ];
    for (broken, words) in breaks {
        let body = move |inputs: &[(&str, &candor_domain::Tensor)], call: &candor_domain::ComponentCall<'_>| {
            let mut told = exact(inputs, call)?;
            broken(&mut told);
            Ok(told)
        };
        let scene = Scene::new(Fakes::default().with("candor.exact_shap", body));
        let error = scene.here(&Linear::new(), &margin_of(Method::Exact), &X).unwrap_err();
        assert_eq!(error.code(), ErrorCode::EngineFailed);
        assert!(error.to_string().contains(words), "{error}\nlacks: {words}");
    }
}

#[test]
fn an_authors_own_explainer_may_answer_in_the_simple_form() {
    let own = |inputs: &[(&str, &candor_domain::Tensor)], _: &candor_domain::ComponentCall<'_>| {
        let x = given(inputs, "x").unwrap();
        let (dims, values) = (x.shape().dims().to_vec(), floats(x).iter().map(|x| *x as f32).collect());
        Ok(vec![
            ("attributions".into(), tensor(&dims, candor_domain::TensorData::Fp32(values))),
            ("base".into(), tensor(&[1], candor_domain::TensorData::Fp32(vec![0.5]))),
        ])
    };
    let scene = Scene::new(Fakes::default().with("acme.mine", own));
    let question = margin_of(Method::Component("acme.mine".into()));
    let explained = scene.here(&Linear::new(), &question, &X).unwrap();
    assert_eq!(explained.rows[0].shares, [1.0, 2.0, 3.0]);
    assert_eq!((explained.rows[0].base[0], explained.method.is_additive), (0.5, false));
    assert_eq!(scene.explanations.counts().methods.last().unwrap().outcomes[0], ("success", 1));
}

#[test]
fn evaluations_are_bounded_and_batched() {
    let settings = ExplanationSettings { evaluations_max: 10, batch_rows_max: 4, ..ExplanationSettings::default() };
    let scene = Scene::with(Fakes::default().with("candor.exact_shap", exact), settings.clone());
    let error = scene.here(&Linear::new(), &margin_of(Method::Exact), &X).unwrap_err();
    assert_eq!((error.code(), error.place()), (ErrorCode::TooLarge, Some("explanations.evaluations_max")));
    let large = |_: &[(&str, &candor_domain::Tensor)], call: &candor_domain::ComponentCall<'_>| {
        let rows = [("x".to_owned(), column(vec![0.0; 3 * 10], &[10, 3]))];
        let told = call.models.unwrap().call("", &rows)?;
        assert_eq!(told[0].1.shape().dims(), [10, 1]);
        let other = call.models.unwrap().call("other", &rows).unwrap_err();
        assert_eq!(other.code(), ErrorCode::NotFound);
        let shares = ("attributions".to_owned(), column(vec![0.0; 3], &[1, 3, 1]));
        Ok(vec![shares, ("base".into(), column(vec![0.0], &[1, 1]))])
    };
    // What a component of somebody's own will ask is not known beforehand.
    let own = margin_of(Method::Component("acme.large".into()));
    let fakes = || Fakes::default().with("acme.large", large);
    let few = ExplanationSettings { answers_bytes_max: 79, ..settings.clone() };
    let error = Scene::with(fakes(), few).here(&Linear::new(), &own, &X).unwrap_err();
    assert_eq!((error.code(), error.place()), (ErrorCode::TooLarge, Some("explanations.answers_bytes_max")));
    let scene = Scene::with(fakes(), settings);
    let subject = Linear::new();
    let explained = scene.here(&subject, &own, &X).unwrap();
    assert_eq!(explained.evaluations, 10);
    // The rows themselves, then four, four and two.
    assert_eq!(subject.runs.load(std::sync::atomic::Ordering::SeqCst), 4);
}

#[test]
fn a_version_of_fixed_rows_is_filled_up() {
    let (scene, mut subject) = (exact_only(), Linear::new());
    subject.about.rows_at_once = RowsAtOnce::Exactly(4);
    let four = X.repeat(4);
    let explained = scene.here(&subject, &margin_of(Method::Exact), &four).unwrap();
    assert_eq!(explained.rows.len(), 4);
    assert!(explained.rows.iter().all(|row| row.additivity[0].holds && row.served[0].agrees == Some(true)));
    // Every run had four rows.
    let (runs, rows) = (&subject.runs, &subject.rows);
    let load = |count: &std::sync::atomic::AtomicUsize| count.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(load(rows), 4 * load(runs));
    subject.about.rows_at_once = RowsAtOnce::None;
    let error = scene.here(&subject, &margin_of(Method::Exact), &four).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unsupported);
}
