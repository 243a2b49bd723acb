//! Questions that are wrong, and what is said of them.

use candor_plugin_sampled::MODULE;
use candor_plugin_sdk::testing::{Harness, Input};

use crate::support::{Model, Rows, SHAP, asked, crooked, integers, open};

fn error(id: &str, config: &str, model: &Model, inputs: &[Input]) -> String {
    asked(&open(id, config), model, inputs).0.err().unwrap().message().to_owned()
}

#[test]
fn questions() {
    let (background, x) = (Rows::random(3, 4, 1), Rows::random(1, 4, 2));
    let both = || vec![x.input("x"), background.input("background")];
    let with = |more: Input| [both(), vec![more]].concat_inputs();
    for id in SHAP.into_iter().chain(["candor.lime"]) {
        let said = |inputs: &[Input]| error(id, "{}", &crooked, inputs);
        assert!(said(&[x.input("x")]).contains("there is no `background`"), "{id}");
        assert!(
            said(&[x.input("x"), Rows::random(3, 5, 1).input("background")]).contains("expected at least one row of 4")
        );
        assert!(
            said(&[Input::new("x", &[4], &[0.0; 4]), background.input("background")])
                .contains("expected rows and features")
        );
        assert!(said(&with(Input::new("weights", &[2], &[1.0, 1.0]))).contains("`weights` has 2 numbers, expected 3"));
        let negative = said(&with(Input::new("weights", &[3], &[1.0, -1.0, 1.0])));
        assert!(negative.contains("at least 0"), "{id}: {negative}");
        assert!(said(&with(Input::new("weights", &[3], &[0.0; 3]))).contains("no row that counts"));
        assert!(said(&with(integers("groups", &[0, 1, 2]))).contains("`groups` has 3 numbers, expected 4"));
        assert!(said(&with(integers("groups", &[0, 1, 1, 3]))).contains("player 2"));
        assert!(said(&with(integers("groups", &[0, 1, 1, -1]))).contains("`groups` has -1 for feature 3"));
        assert!(said(&with(integers("outputs", &[2]))).contains("the model has 2 outputs"));
        assert!(said(&with(integers("outputs", &[]))).contains("`outputs` is empty"));
        assert!(said(&with(integers("budget", &[0]))).contains("`budget` is 0, expected 1 to 1048576"));
        assert!(said(&with(integers("seed", &[1, 2]))).contains("`seed` has 2 numbers, expected 1"));
        assert!(said(&with(integers("textual", &[4]))).contains("below 4"));
        let odd = error(id, "{}", &|_| vec![f64::NAN], &both());
        assert!(odd.contains("the model answered NaN"), "{id}: {odd}");
        let none = open(id, "{}").run(&both()).err().unwrap();
        assert!(none.message().contains("did not answer") || none.message().contains("lends no model"), "{none}");
    }
}

#[test]
fn budgets_players_and_links() {
    let (background, x) = (Rows::random(3, 14, 1), Rows::random(1, 14, 2));
    let both = || [x.input("x"), background.input("background")];
    let small = |budget: i64| [x.input("x"), background.input("background"), integers("budget", &[budget])];
    let many = error("candor.exact_shap", "{}", &crooked, &both());
    assert!(many.contains("14 players differ from the background") && many.contains("at most 12"), "{many}");
    assert!(asked(&open("candor.exact_shap", r#"{"players_max": 14}"#), &crooked, &both()).0.is_ok());
    assert!(
        error("candor.permutation_shap", "{}", &crooked, &small(28)).contains("`budget` is 28, expected at least 29")
    );
    assert!(error("candor.kernel_shap", "{}", &crooked, &small(1)).contains("expected at least 2"));
    assert!(error("candor.lime", "{}", &crooked, &small(1)).contains("expected at least 2"));
    let link = error("candor.kernel_shap", r#"{"link": "logit"}"#, &|_| vec![1.5], &both());
    assert!(link.contains("outputs from 0 to 1, and the model gives 1.5"), "{link}");
    let missing = Rows::new(2, &[1.0, f64::NAN]);
    let around = Rows::new(2, &[1.0, 2.0, 3.0, 4.0]);
    let plain =
        error("candor.lime", r#"{"discretizer": "none"}"#, &crooked, &[missing.input("x"), around.input("background")]);
    assert!(plain.contains("no finite number for feature 1 in row 0"), "{plain}");
    // In bins, missing is one more bin.
    assert!(
        asked(&open("candor.lime", "{}"), &|row| vec![row[0]], &[missing.input("x"), around.input("background")])
            .0
            .is_ok()
    );
}

#[test]
fn configurations() {
    for (id, config, says) in [
        ("candor.kernel_shap", r#"{"link": "log"}"#, "unknown variant `log`"),
        ("candor.kernel_shap", r#"{"batch_rows_max": 0}"#, "`batch_rows_max` is 0"),
        ("candor.exact_shap", r#"{"l1": true}"#, "unknown field `l1`"),
        ("candor.lime", r#"{"kernel_width": 0}"#, "`kernel_width` is 0"),
        ("candor.lime", r#"{"alpha": -1}"#, "`alpha` is -1"),
        ("candor.lime", r#"{"features_max": 0}"#, "`features_max` is 0"),
        ("candor.lime", r#"{"sample_around_instance": true}"#, "set `discretizer` to \"none\""),
    ] {
        let error = Harness::new(&MODULE, id, config).err().unwrap();
        assert!(error.message().contains(says), "{error}");
    }
}

trait Together {
    fn concat_inputs(self) -> Vec<Input>;
}

impl Together for [Vec<Input>; 2] {
    fn concat_inputs(self) -> Vec<Input> {
        self.into_iter().flatten().collect()
    }
}
