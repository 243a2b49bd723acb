//! Checks of inputs: wherever they lie and whatever they are, the answer is right or a status.
//!
//! It knows no kind: of what an answer means only that it is the same.

use candor_domain::Datatype;
use candor_plugin_abi as abi;

use super::{
    Mark, Said,
    sample::{Sample, Spot},
    stand::{Made, Sizes},
    subject::Subject,
};

pub(super) fn fail(text: impl Into<String>) -> Said {
    (Mark::Fail, text.into())
}

pub(super) fn fine(text: impl Into<String>) -> Said {
    (Mark::Ok, text.into())
}

pub(super) fn skip(text: impl Into<String>) -> Said {
    (Mark::Skip, text.into())
}

pub(super) fn status(made: &Made) -> String {
    let word = abi::status_word(made.status);
    if made.error.is_empty() { word.to_owned() } else { format!("{word}: {}", made.error) }
}

/// What every answer must be: nothing is written beside outputs, and no status is a panic.
fn whole(made: &Made) -> Option<Said> {
    if !made.clean {
        return Some(fail("it writes beside an output"));
    }
    (made.status == abi::PANIC)
        .then(|| fail(format!("it panicked, where a status would have been right ({})", made.error)))
}

/// Runs with these inputs and judges.
fn with(subject: &Subject, inputs: &[Sample], judge: impl FnOnce(&Made) -> Said) -> Said {
    if !subject.runs() {
        return skip("it does not run");
    }
    let made = subject.ready(Sizes::default()).and_then(|instance| instance.run(inputs, Spot::Anywhere));
    match made {
        Err(why) => fail(why),
        Ok(made) => whole(&made).unwrap_or_else(|| judge(&made)),
    }
}

/// The same inputs elsewhere give the same answer.
pub(super) fn placed(subject: &Subject, spot: Spot) -> Said {
    if !subject.runs() {
        return skip("it does not run");
    }
    let inputs = subject.inputs();
    let answers = subject.ready(Sizes::default()).and_then(|instance| {
        let anywhere = instance.run(&inputs, Spot::Anywhere)?;
        Ok((anywhere, instance.run(&inputs, spot)?))
    });
    let (anywhere, there) = match answers {
        Ok(answers) => answers,
        Err(why) => return fail(why),
    };
    if let Some(broken) = whole(&anywhere).or_else(|| whole(&there)) {
        return broken;
    }
    if anywhere.status != abi::OK {
        let text = format!("it does not take the inputs that it tells, or that its kind says ({})", status(&anywhere));
        return (Mark::Warn, format!("{text}; let `describe` tell them"));
    }
    match there.status {
        abi::OK if there.outputs == anywhere.outputs => fine("the same answer as anywhere"),
        abi::OK => fail("another answer than anywhere"),
        abi::INVALID | abi::UNSUPPORTED if spot == Spot::Spread => fine(format!("refused ({})", status(&there))),
        _ => fail(format!("no answer, as there is anywhere ({})", status(&there))),
    }
}

/// Sizes at which what is written beside an output shows.
pub(super) fn rows(subject: &Subject) -> Said {
    for rows in [1, 2, 7, 16, 33] {
        let inputs: Vec<Sample> = subject.inputs().iter().map(|sample| sample.rows(rows)).collect();
        let said = with(subject, &inputs, |_| fine(""));
        if said.0 != Mark::Ok {
            return (said.0, if said.0 == Mark::Fail { format!("{rows} rows: {}", said.1) } else { said.1 });
        }
    }
    fine("1 to 33 rows, nothing written beside an output")
}

fn answered(made: &Made) -> Said {
    fine(if made.status == abi::OK { "answered".to_owned() } else { format!("refused ({})", status(made)) })
}

fn refused(what: &str, made: &Made) -> Said {
    match made.status {
        abi::OK => (Mark::Warn, format!("{what}, and it answers; whoever calls it will not learn of a mistake")),
        abi::INTERNAL => (
            Mark::Warn,
            format!("{what}, and it calls that its own fault ({}); `invalid` would say whose it is", status(made)),
        ),
        _ => fine(format!("refused ({})", status(made))),
    }
}

/// No rows, and rows without columns. What maps row by row has an answer to no rows: no rows.
pub(super) fn empty(subject: &Subject) -> Said {
    let maps = matches!(subject.kind.as_str(), "predictor" | "transform" | "combiner");
    let takes_rows = || {
        let made = subject.ready(Sizes::default()).and_then(|instance| instance.run(&subject.inputs(), Spot::Anywhere));
        made.is_ok_and(|made| made.status == abi::OK)
    };
    let no_columns = |sample: &Sample| match sample.dims.as_slice() {
        [rows, _, ..] => sample.shaped(&[*rows, 0]),
        _ => sample.clone(),
    };
    let said = with(subject, &subject.inputs().iter().map(no_columns).collect::<Vec<_>>(), answered);
    if said.0 != Mark::Ok {
        return said;
    }
    let no_rows: Vec<Sample> = subject.inputs().iter().map(|sample| sample.rows(0)).collect();
    with(subject, &no_rows, |made| match made.status {
        abi::OK => fine("answered"),
        _ if maps && takes_rows() => {
            (Mark::Warn, format!("it answers rows, and refuses a request that has none ({})", status(made)))
        }
        _ => answered(made),
    })
}

pub(super) fn scalar(subject: &Subject) -> Said {
    let inputs: Vec<Sample> = subject.inputs().iter().map(|sample| sample.shaped(&[])).collect();
    with(subject, &inputs, answered)
}

pub(super) fn not_numbers(subject: &Subject) -> Said {
    let mut all = subject.inputs();
    if !all.iter().any(|sample| sample.datatype == Datatype::Fp32) {
        return skip("it takes no floats");
    }
    for element in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE / 2.0, f32::MAX] {
        for sample in all.iter_mut().filter(|sample| sample.datatype == Datatype::Fp32) {
            *sample = sample.all(&element.to_le_bytes());
        }
        let said = with(subject, &all, answered);
        match said.0 {
            Mark::Ok => {}
            Mark::Skip => return said,
            Mark::Warn | Mark::Fail => return (said.0, format!("{element}: {}", said.1)),
        }
    }
    fine("NaN, infinities and the ends of the range")
}

pub(super) fn wrong_type(subject: &Subject) -> Said {
    let other = |sample: &Sample| {
        let datatype = if sample.datatype == Datatype::Int16 { Datatype::Fp64 } else { Datatype::Int16 };
        Sample::new(&sample.name, datatype, &sample.dims)
    };
    let inputs: Vec<Sample> = subject.inputs().iter().map(other).collect();
    with(subject, &inputs, |made| refused("inputs have another type", made))
}

pub(super) fn wrong_rank(subject: &Subject) -> Said {
    if subject.signature.is_none() && !matches!(subject.kind.as_str(), "detector" | "selector" | "resampler") {
        return skip("it does not tell the ranks of its inputs");
    }
    let inputs: Vec<Sample> = subject.inputs().iter().map(|sample| sample.shaped(&[2, 1, 2, 1, 2])).collect();
    // Any rank may do, where the answer is right for each element; only an end of the process is wrong.
    with(subject, &inputs, answered)
}

pub(super) fn wrong_name(subject: &Subject) -> Said {
    let rename = |sample: &Sample| Sample { name: format!("not_{}", sample.name), ..sample.clone() };
    let inputs: Vec<Sample> = subject.inputs().iter().map(rename).collect();
    with(subject, &inputs, |made| refused("inputs have other names", made))
}

pub(super) fn none(subject: &Subject) -> Said {
    with(subject, &[], |made| refused("there are no inputs", made))
}
