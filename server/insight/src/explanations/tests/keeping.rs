//! What is kept: components, backgrounds, summaries; and that it goes with its version.

use candor_domain::ErrorCode;

use super::super::*;
use super::fake::*;

const X: [f32; 3] = [1.0, 2.0, 3.0];

fn opened(scene: &Scene) -> usize {
    scene.components.opened.lock().unwrap().len()
}

#[test]
fn a_component_is_opened_once_for_a_version_and_a_configuration_and_goes_with_the_version() {
    let settings = ExplanationSettings { explainers_max: 2, ..ExplanationSettings::default() };
    let refusal = candor_domain::Error::new(ErrorCode::Unsupported, "no trees");
    let fakes = Fakes::default().with("candor.exact_shap", exact).refusing("candor.tree_shap", refusal);
    let scene = Scene::with(fakes, settings);
    let mut subject = Linear::new();
    subject.about.graph = Some("model.onnx".into());
    let explain = |subject: &Linear, question: &Question| scene.here(subject, question, &X);
    explain(&subject, &ask(Method::Exact)).unwrap();
    explain(&subject, &ask(Method::Exact)).unwrap();
    assert_eq!(opened(&scene), 1);
    // A refusal is kept too.
    explain(&subject, &ask(Method::Tree)).unwrap_err();
    explain(&subject, &ask(Method::Tree)).unwrap_err();
    assert_eq!(opened(&scene), 2);
    // Another configuration is another component; of three, the one that was not used for longest has gone.
    let options = [("players_max".to_owned(), serde_json::json!(3))].into_iter().collect();
    explain(&subject, &Question { options, ..ask(Method::Exact) }).unwrap();
    assert_eq!(opened(&scene), 3);
    explain(&subject, &ask(Method::Exact)).unwrap();
    assert_eq!(opened(&scene), 4);
    assert_eq!(scene.explanations.counts().open, 2);
    drop(subject);
    assert_eq!(scene.explanations.counts().open, 0);
}

#[test]
fn the_file_that_the_owner_names_is_the_background_and_what_is_wrong_with_it_is_the_owners() {
    let scene = Scene::new(Fakes::default().with("candor.exact_shap", exact));
    let mut subject = Linear::new().with_file("rows.txt", b"0 0 0 2 2 2").with_file("bad.txt", b"a b c");
    subject.about.background = Some("rows.txt".into());
    let explained = scene.here(&subject, &ask(Method::Exact), &X).unwrap();
    let own = explained.background.unwrap();
    assert_eq!((own.id.as_str(), own.source, own.rows), ("rows.txt", Source::File, 2));
    assert_eq!(own.sha256.len(), 64);
    let listed = scene.explanations.backgrounds(&subject);
    assert_eq!((listed.len(), &listed[0].sha256), (1, &own.sha256));
    let mut subject = Linear::new().with_file("bad.txt", b"a b c");
    (subject.about.background, subject.about.version) = (Some("bad.txt".into()), "2".into());
    let error = scene.here(&subject, &ask(Method::Exact), &X).unwrap_err();
    assert_eq!((error.code(), error.place()), (ErrorCode::InvalidModel, Some("bad.txt, line 1")));
}

#[test]
fn without_any_rows_what_needs_them_is_refused_with_what_to_do() {
    let scene = Scene::new(Fakes::default().with("candor.exact_shap", exact));
    let mut subject = Linear::new();
    subject.golden.clear();
    let error = scene.here(&subject, &ask(Method::Exact), &X).unwrap_err();
    assert_eq!((error.code(), error.place()), (ErrorCode::InvalidInput, Some("background")));
    assert!(error.to_string().contains("[explain] background = \"background.csv\""), "{error}");
}

#[test]
fn uploads_are_the_same_for_the_same_rows_bounded_and_gone_with_their_version() {
    let settings = ExplanationSettings { backgrounds_max: 2, background_rows_max: 3, ..ExplanationSettings::default() };
    let scene = Scene::with(Fakes::default().with("candor.exact_shap", exact), settings);
    let (all, subject) = (&scene.explanations, Linear::new());
    let rows = |values: &[f32]| vec![fp32(3, values)];
    let one = all.keep_background(&subject, rows(&[1.0, 1.0, 1.0])).unwrap();
    assert_eq!(all.keep_background(&subject, rows(&[1.0, 1.0, 1.0])).unwrap(), one);
    assert!(one.id.starts_with("u-") && one.sha256.starts_with(&one.id[2..]));
    all.keep_background(&subject, rows(&[2.0; 3])).unwrap();
    let error = all.keep_background(&subject, rows(&[3.0; 3])).unwrap_err();
    assert_eq!((error.code(), error.place()), (ErrorCode::TooLarge, Some("explanations.backgrounds_max")));
    let error = all.keep_background(&subject, rows(&[0.0; 12])).unwrap_err();
    assert_eq!((error.code(), error.place()), (ErrorCode::TooLarge, Some("explanations.background_rows_max")));
    // The one row is the background: nothing differs from itself.
    let background = BackgroundChoice { id: Some(one.id.clone()), summary: None };
    let explained = scene.here(&subject, &Question { background, ..ask(Method::Exact) }, &[1.0; 3]).unwrap();
    assert!(explained.rows[0].shares.iter().all(|share| *share == 0.0));
    assert_eq!(explained.background.unwrap().sha256, one.sha256);
    let ids = |subject: &Linear| all.backgrounds(subject).into_iter().map(|view| view.id).collect::<Vec<_>>();
    assert_eq!(ids(&subject).len(), 3);
    all.forget_background(&subject, &one.id).unwrap();
    assert_eq!(all.forget_background(&subject, &one.id).unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(all.forget_background(&subject, "golden").unwrap_err().code(), ErrorCode::Unsupported);
    assert_eq!(ids(&subject).len(), 2);
    drop(subject);
    // The same version, loaded anew.
    assert_eq!(ids(&Linear::new()), ["golden"]);
}

#[test]
fn a_summary_stands_for_its_rows_by_weight_and_says_so() {
    let scene = Scene::new(Fakes::default().with("candor.exact_shap", exact));
    let mut subject = Linear::new();
    // Three rows here, one far away: two centres of these weights have the same mean.
    subject.golden = vec![vec![fp32(3, &[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0, 9.0, 9.0])]];
    let question = |summary: Option<usize>| Question {
        background: BackgroundChoice { id: None, summary },
        space: Some(Space::Margin),
        outputs: vec![OutputPick::Index(1)],
        ..ask(Method::Exact)
    };
    let all = scene.here(&subject, &question(None), &X).unwrap();
    let two = scene.here(&subject, &question(Some(2)), &X).unwrap();
    assert_eq!(two.background.as_ref().unwrap().summary, Some(2));
    assert_eq!(two.background.unwrap().sha256, all.background.unwrap().sha256);
    for (one, other) in two.rows[0].shares.iter().zip(&all.rows[0].shares) {
        assert!((one - other).abs() < 1e-6, "{one} {other}");
    }
    assert!(two.evaluations < all.evaluations);
    subject.golden = vec![vec![fp32(3, &[f32::NAN, 1.0, 1.0])]];
    subject.about.version = "2".into();
    let error = scene.here(&subject, &question(Some(2)), &X).unwrap_err();
    assert_eq!((error.code(), error.place()), (ErrorCode::InvalidInput, Some("background/summary")));
}
