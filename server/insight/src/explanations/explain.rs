//! One explanation, from question to answer.
//!
//! The method is chosen and its component opened, the component is asked, and what it says is taken apart and checked.

use candor_domain::Result;

use super::{
    Core, Explanation, Method, Question, Rows, Subject, Turn,
    choose::{blame, has_link},
    cost,
    layout::rows_of,
    scene::{Said, is_tokens},
    target::Target,
    told::Told,
    values,
};

impl Core {
    /// Explains rows on this thread.
    pub(super) fn explain(
        &self,
        subject: &dyn Subject,
        question: &Question,
        rows: Rows,
        turn: &Turn<'_>,
    ) -> Result<Explanation> {
        self.check_rows(rows_of(&rows.inputs))?;
        let scene = self.scene(subject, question, rows, turn)?;
        let chosen = self.choose(subject, question, &scene.players)?;
        let traits = chosen.method.traits();
        let space = question.space.or(traits.space.filter(|_| has_link(subject)));
        let (about, rows) = (subject.about(), scene.x.rows);
        let target = Target::choose(about, (&question.outputs, space), (&scene.served, rows), traits.reads_graph)?;
        cost::check(&self.settings, &chosen.method, (&scene, &target))?;
        let said = scene.ask(&*chosen.component, (&target, traits.reads_graph), Vec::new(), turn);
        let Said { tensors, evaluations } = said.map_err(|error| blame(error, &chosen))?;
        let values = values::of(about, &scene.layout, &scene.players, &scene.inputs, rows);
        let by_part = question.method == Method::Occlusion && !is_tokens(question);
        let told = Told::read(tensors, (&target, scene.players.len()), rows, by_part)?;
        let served = scene.served(&target)?;
        let target = told.settled(target, &served);
        Ok(Explanation {
            model: about.model.clone(),
            version: about.version.clone(),
            sha256: about.sha256.clone(),
            engine: about.engine.clone(),
            space: target.space,
            outputs: told.names(&target),
            features: told.features(&scene.players.names),
            rows: told.rows((&target, traits.is_additive), &served, values),
            background: scene.absent.map(|absent| absent.note),
            budget: question.budget,
            seed: question.seed,
            evaluations,
            method: chosen.note(traits),
        })
    }
}
