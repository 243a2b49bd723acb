//! The contract of each kind: names, shapes and what must hold of the numbers.
//!
//! docs/PLUGINS.md has the table. It does not know how a component comes to its answer.

use candor_domain::Datatype;
use candor_plugin_abi as abi;

use super::{
    Mark, Said,
    calls::{fail, fine, skip, status},
    sample::{Sample, Spot},
    stand::{Made, Output, Sizes},
    subject::Subject,
};

pub(super) fn contract(subject: &Subject) -> Said {
    let said = match subject.kind.as_str() {
        "router" => router(subject),
        "trainer" => trainer(subject),
        _ if !subject.runs() => Err(format!("a {} runs, and it has no candor.run/1", subject.kind)),
        kind => run(subject).and_then(|(inputs, made)| match kind {
            "predictor" | "transform" => mapping(&inputs, &made),
            "combiner" => combiner(&inputs, &made),
            "explainer" => explainer(&inputs, &made),
            "detector" => detector(&inputs, &made),
            "resampler" => resampler(&inputs, &made),
            "selector" => selector(&inputs, &made),
            other => Err(format!("nothing is known of the kind {other}")),
        }),
    };
    match said {
        Ok(text) => fine(text),
        Err(why) if why.starts_with("skip: ") => skip(why.trim_start_matches("skip: ")),
        Err(why) if why.starts_with("warn: ") => (Mark::Warn, why.trim_start_matches("warn: ").to_owned()),
        Err(why) => fail(why),
    }
}

fn run(subject: &Subject) -> Result<(Vec<Sample>, Made), String> {
    let inputs = subject.inputs();
    let made = subject.ready(Sizes::default())?.run(&inputs, Spot::End)?;
    if made.status != abi::OK {
        return Err(format!("warn: not judged: it does not take the inputs that its kind says ({})", status(&made)));
    }
    Ok((inputs, made))
}

fn output<'m>(made: &'m Made, name: &str) -> Result<&'m Output, String> {
    let there: Vec<&str> = made.outputs.iter().map(|output| output.name.as_str()).collect();
    made.outputs
        .iter()
        .find(|output| output.name == name)
        .ok_or_else(|| format!("there is no output `{name}`; there is {}", there.join(", ")))
}

fn floats(output: &Output) -> Vec<f32> {
    let number = |bytes: &[u8]| bytes.try_into().map_or(0.0, f32::from_le_bytes);
    if output.datatype == Datatype::Fp64 {
        #[allow(clippy::cast_possible_truncation, reason = "what is finite and small stays so")]
        return output.bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect();
    }
    if output.datatype == Datatype::Fp32 { output.bytes.chunks_exact(4).map(number).collect() } else { Vec::new() }
}

fn first(inputs: &[Sample]) -> Vec<i64> {
    inputs.first().map(|input| input.dims.clone()).unwrap_or_default()
}

/// The first dimension is kept.
fn mapping(inputs: &[Sample], made: &Made) -> Result<String, String> {
    if made.outputs.is_empty() {
        return Err("it gives no output".to_owned());
    }
    let rows = first(inputs).first().copied();
    match made.outputs.iter().find(|output| output.dims.first().copied() != rows) {
        Some(other) => Err(format!("{rows:?} rows came, and `{}` has the shape {:?}", other.name, other.dims)),
        None => Ok("the first dimension is kept".to_owned()),
    }
}

fn combiner(inputs: &[Sample], made: &Made) -> Result<String, String> {
    let y = output(made, "y")?;
    let rows = first(inputs).first().copied();
    if y.dims.first().copied() != rows {
        return Err(format!("y has the shape {:?} for {rows:?} rows", y.dims));
    }
    Ok("answers to one y".to_owned())
}

fn explainer(inputs: &[Sample], made: &Made) -> Result<String, String> {
    let (attributions, x) = (output(made, "attributions")?, first(inputs));
    let base = output(made, "base")?;
    let shape = attributed(&attributions.dims, &base.dims, &x)?;
    if floats(attributions).iter().any(|number| !number.is_finite()) {
        return Err("an attribution is no finite number".to_owned());
    }
    Ok(format!("{shape}, and a base"))
}

/// Attributions are shaped like x; or they are rows, players and outputs, and then the base is rows and outputs.
fn attributed(attributions: &[i64], base: &[i64], x: &[i64]) -> Result<&'static str, String> {
    if attributions == x {
        return Ok("attributions shaped like x");
    }
    match (attributions, base, x) {
        ([rows, players, outputs], [of_base @ .., last], [own, features])
            if rows == own && (1..=*features).contains(players) && outputs == last && of_base == [*rows] =>
        {
            Ok("attributions of rows, players and outputs")
        }
        _ => Err(format!("attributions have the shape {attributions:?}, x {x:?} and base {base:?}")),
    }
}

fn detector(inputs: &[Sample], made: &Made) -> Result<String, String> {
    let scores = output(made, "scores")?;
    let columns = first(inputs).get(1).copied();
    if scores.dims.last().copied() != columns {
        return Err(format!("scores have the shape {:?} for {columns:?} columns", scores.dims));
    }
    output(made, "statistic")?;
    let verdict = output(made, "verdict")?;
    let p = floats(output(made, "p")?);
    if p.iter().any(|p| !(0.0..=1.0).contains(p)) {
        return Err(format!("p is {p:?}, which is no chance"));
    }
    // The window is made as the reference was.
    if verdict.bytes.iter().any(|&byte| byte != 0) {
        return Err("warn: it alarms at rows like those of its reference".to_owned());
    }
    Ok("scores, statistic, p and verdict; no alarm at rows like the reference".to_owned())
}

fn resampler(inputs: &[Sample], made: &Made) -> Result<String, String> {
    let (x, y) = (output(made, "x")?, output(made, "y")?);
    if x.dims.get(1..) != first(inputs).get(1..) || x.dims.first() != y.dims.first() {
        return Err(format!("x has the shape {:?} and y {:?}", x.dims, y.dims));
    }
    if floats(x).iter().any(|number| !number.is_finite()) {
        return Err("a number of x is not finite".to_owned());
    }
    let size = y.datatype.element_bytes().unwrap_or(1);
    let known: Vec<&[u8]> =
        inputs.iter().filter(|input| input.name == "y").flat_map(|input| input.bytes.chunks(size)).collect();
    match y.bytes.chunks(size).find(|label| !known.contains(label)) {
        Some(label) => Err(format!("the label {label:?} was not there")),
        None => Ok("the same columns, and no new label".to_owned()),
    }
}

fn selector(inputs: &[Sample], made: &Made) -> Result<String, String> {
    let (x, before) = (output(made, "x")?, first(inputs));
    let fewer = x.dims.get(1) <= before.get(1);
    if x.dims.first() != before.first() || x.dims.len() != 2 || !fewer {
        return Err(format!("x has the shape {:?}, of {before:?}", x.dims));
    }
    Ok(format!("{} of {} columns", x.dims.get(1).unwrap_or(&0), before.get(1).unwrap_or(&0)))
}

fn trainer(subject: &Subject) -> Result<String, String> {
    let instance = subject.create(&subject.config, Sizes::default()).map_err(|made| status(&made))?;
    let rows: Vec<Sample> = subject.inputs().iter().map(|sample| sample.rows(16)).collect();
    let made = instance.fit(&[rows.clone(), rows], Sizes::default());
    if made.status != abi::OK {
        return Err(format!("warn: not judged: it does not learn from 32 rows ({})", status(&made)));
    }
    let model = made.artifacts.iter().find(|(name, _)| name == "model.onnx");
    match model {
        Some((_, bytes)) if bytes.len() > 16 => Ok(format!("model.onnx of {} bytes", bytes.len())),
        _ => Err("it gives no artifact `model.onnx`".to_owned()),
    }
}

/// The number of an arm is that of one of them, always.
fn router(subject: &Subject) -> Result<String, String> {
    let instance = subject.create(&subject.config, Sizes::default()).map_err(|made| status(&made))?;
    let names: Vec<String> = (0..8).map(|at| format!("arm-{at}")).collect();
    let mut chosen = 0_u64;
    for count in 0..=8_u32 {
        for weight in [1.0, 0.0, 1e300] {
            let arm = |name: &String| abi::Arm { name: abi::Str::of(name), weight, in_flight: 0, p50_ns: 1000 };
            let arms: Vec<abi::Arm> = names.iter().take(count as usize).map(arm).collect();
            for key in [0, 1, 7, u64::MAX, 0x9e37_79b9_7f4a_7c15, 1 << 40] {
                match instance.choose(&arms, key) {
                    Ok(arm) if arm < count => chosen += 1,
                    Ok(arm) => return Err(format!("it chose arm {arm} of {count}")),
                    Err(abi::PANIC) => return Err(format!("it panicked at {count} arms")),
                    Err(_) => {}
                }
            }
        }
    }
    if chosen == 0 { Err("warn: it never chooses".to_owned()) } else { Ok(format!("{chosen} choices, each of an arm")) }
}

#[cfg(test)]
mod tests {
    use super::attributed;

    #[test]
    fn attributions_are_like_x_or_of_rows_players_and_outputs() {
        let x = [3, 4];
        assert!(attributed(&[3, 4], &[1], &x).is_ok());
        // Groups make players fewer than features.
        for players in 1..=4 {
            assert!(attributed(&[3, players, 2], &[3, 2], &x).is_ok(), "{players}");
        }
        let wrong: [(&[i64], &[i64]); 6] = [
            (&[3, 5, 2], &[3, 2]),
            (&[3, 0, 2], &[3, 2]),
            (&[2, 4, 2], &[3, 2]),
            (&[3, 4, 2], &[3, 1]),
            (&[3, 4, 2], &[2]),
            (&[4, 3], &[1]),
        ];
        for (attributions, base) in wrong {
            assert!(attributed(attributions, base, &x).is_err(), "{attributions:?} {base:?}");
        }
    }
}
