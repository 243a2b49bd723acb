//! Members and a combiner as one signature: what all members take, and what the combiner makes of their answers.
//!
//! Before it: `[ensemble]` of `model.toml`, and members that the registry brings, loading them if need be. After it: a
//! session like any engine's.

use std::{collections::BTreeMap, sync::Arc};

use candor_domain::{
    ComponentKind, ComponentOrigin, EngineInfo, Error, ErrorCode, LoadedModel, ModelName, Result, Signature, TensorSpec,
};

use super::{Ensemble, Member};
use crate::{
    engines::Chosen,
    registry::Lease,
    repository::{EnsembleNotes, MemberNotes, PluginNotes},
    stages::{
        Digest, Opener, Part, Role,
        open::{Made, Wanted, names},
    },
};

/// Opens an ensemble for the load of the model `name`.
///
/// # Errors
/// `InvalidModel` that names the member and the key.
pub(crate) fn open_ensemble(
    name: &ModelName,
    opener: &Opener<'_>,
    notes: &EnsembleNotes,
    digest: &mut Digest,
) -> Result<(Chosen, Vec<Part>)> {
    let Some(source) = opener.models() else {
        let error = Error::model("only a server knows the members of an ensemble");
        return Err(error.at("model.toml ensemble.members").hint("load it into a server, and ask that about it"));
    };
    let (mut inputs, mut members, mut parts, mut given) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, notes) in notes.members.iter().enumerate() {
        let at = format!("model.toml ensemble.members[{index}]");
        let blame = |error: Error| {
            let inner = error.place().map_or_else(String::new, |place| format!("{place}: "));
            let prefix = format!("member '{}': {inner}", notes.model);
            error.with_code(ErrorCode::InvalidModel).with_prefix(&prefix).at(at.clone())
        };
        let model = ModelName::parse(&notes.model).map_err(blame)?;
        let lease = source.bring(name, &model, notes.version.as_deref()).map_err(blame)?;
        let member = member(&model, notes, &lease, &mut inputs).map_err(blame)?;
        let origin = ComponentOrigin {
            plugin: model.to_string(),
            version: lease.version.to_string(),
            sha256: Some(lease.sha256.clone()),
        };
        digest.part("member", &format!("{notes:?}"), Some(&origin));
        let answer = lease.signature.outputs.get(member.output).cloned();
        given.extend(answer.map(|spec| TensorSpec { name: format!("y_{index}").into(), ..spec }));
        parts.push(part(&member, &inputs));
        members.push(member);
    }
    let (made, outputs, passes) = combiner(opener, &notes.combiner, &given, &inputs)?;
    opener.write(digest, "combiner", &format!("{:?}", notes.combiner), &made);
    let y: Vec<String> = given.iter().map(|spec| spec.name.to_string()).collect();
    parts.push(Part {
        name: "combiner".to_owned(),
        role: Role::Combiner,
        id: Some(made.id.clone()),
        inputs: y.iter().cloned().chain(passes.iter().map(|(name, _)| name.clone())).collect(),
        outputs: outputs.iter().map(|spec| spec.name.to_string()).collect(),
        inline: made.inline,
        deterministic: made.deterministic,
        component: Some(Arc::clone(&made.component)),
    });
    let session = Ensemble {
        members: members.into(),
        names: y,
        passes,
        combiner: made.component,
        combiner_is_inline: made.inline,
        outputs: outputs.clone(),
        source: Arc::clone(source),
    };
    let loaded = LoadedModel {
        session: Box::new(session),
        signature: Signature { inputs, outputs },
        properties: BTreeMap::new(),
        // A member's session may have to be waited for.
        cost_depends_on_values: true,
    };
    Ok((Chosen { loaded, engine: info(), passed_over: Vec::new() }, parts))
}

/// What an ensemble is in the place of an engine.
fn info() -> EngineInfo {
    EngineInfo {
        name: "ensemble",
        version: env!("CARGO_PKG_VERSION").to_owned(),
        library: None,
        library_sha256: None,
        platform: "ensemble",
        backend: "ensemble",
    }
}

/// A member, whose inputs become the ensemble's.
fn member(model: &ModelName, notes: &MemberNotes, lease: &Lease, inputs: &mut Vec<TensorSpec>) -> Result<Member> {
    let signature = lease.signature.clone();
    if let Some(own) = notes.inputs.keys().find(|own| signature.input_index(own).is_none()) {
        return Err(Error::model(format!("it has no input '{own}'")).expected(names(&signature.inputs)));
    }
    let mut places = Vec::with_capacity(signature.inputs.len());
    for spec in &signature.inputs {
        let name = notes.inputs.get(&*spec.name).map_or_else(|| Arc::clone(&spec.name), |name| name.as_str().into());
        let known = inputs.iter().position(|input| input.name == name);
        match known.and_then(|place| inputs.get_mut(place).map(|input| (place, input))) {
            Some((place, input)) => {
                spec.takes(input).map_err(|error| {
                    let what = format!("it takes '{name}' otherwise than the members before it: ");
                    error.with_prefix(&what).hint("give it another name: inputs = { its_own_name = \"another_name\" }")
                })?;
                *input = input.clone().narrowed(spec);
                places.push(place);
            }
            None => {
                places.push(inputs.len());
                inputs.push(TensorSpec { name, ..spec.clone() });
            }
        }
    }
    let output = match &notes.output {
        Some(wanted) => signature
            .output_index(wanted)
            .ok_or_else(|| Error::model(format!("it has no output '{wanted}'")).expected(names(&signature.outputs)))?,
        None if signature.outputs.len() == 1 => 0,
        None => {
            return Err(Error::model("it gives more than one output")
                .expected(format!("output = \"…\", one of {}", names(&signature.outputs))));
        }
    };
    Ok(Member { model: model.clone(), version: notes.version.clone(), signature, inputs: places, output })
}

fn part(member: &Member, inputs: &[TensorSpec]) -> Part {
    let named = member.inputs.iter().filter_map(|place| inputs.get(*place)).map(|spec| spec.name.to_string());
    let output = member.signature.outputs.get(member.output).map(|spec| spec.name.to_string());
    Part {
        name: member.shown(),
        role: Role::Member,
        id: None,
        inputs: named.collect(),
        outputs: output.into_iter().collect(),
        inline: false,
        deterministic: true,
        component: None,
    }
}

/// What an ensemble takes that is handed to its combiner too: name and place.
type Passes = Vec<(String, usize)>;

/// The combiner and what it gives. What it takes depends on how many members there are; it may want what the ensemble
/// takes, too.
fn combiner(
    opener: &Opener<'_>,
    notes: &PluginNotes,
    given: &[TensorSpec],
    inputs: &[TensorSpec],
) -> Result<(Made, Vec<TensorSpec>, Passes)> {
    let at = "ensemble.combiner";
    let wanted = Wanted {
        at,
        id: &notes.component,
        kind: ComponentKind::Combiner,
        config: &notes.config,
        takes: &notes.takes,
        gives: &notes.gives,
    };
    let all: Vec<TensorSpec> = given.iter().chain(inputs).cloned().collect();
    let made = opener.open(&wanted, &all)?;
    let mut passes = Vec::new();
    for spec in &made.signature.inputs {
        let Some(answer) = all.iter().find(|answer| answer.name == spec.name) else {
            let error = Error::model(format!("the combiner takes '{}', which nobody gives", spec.name));
            return Err(error.at(format!("model.toml {at}")).expected(names(&all)));
        };
        spec.takes(answer).map_err(|error| {
            let error = error.with_prefix(&format!("the combiner cannot take '{}': ", spec.name));
            error.at(format!("model.toml {at}"))
        })?;
        let place = inputs.iter().position(|input| input.name == spec.name);
        passes.extend(place.map(|place| (spec.name.to_string(), place)));
    }
    if made.signature.outputs.is_empty() {
        return Err(Error::model("the combiner gives nothing").at(format!("model.toml {at}.gives")));
    }
    let outputs = made.signature.outputs.clone();
    Ok((made, outputs, passes))
}
