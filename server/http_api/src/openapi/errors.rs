//! The error answers that operations share, each written down once under `components.responses`.
//!
//! A handler names the sets that fit its route: [`Guarded`] for whatever needs a token, [`OfModel`] for
//! paths with a model, [`OfBody`] for routes that read a body. Below `/api` the same answers are problems
//! (RFC 9457), elsewhere what clients of the Open Inference Protocol read.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses,
    openapi::{
        Components, Content, HeaderBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Type,
        path::{Operation, PathItem},
        schema::{ObjectBuilder, Schema},
    },
};

use crate::problem;

/// An error answer: its status, its name in the document, what it means, its header besides
/// `candor-reason`.
struct ErrorAnswer {
    status: &'static str,
    name: &'static str,
    means: &'static str,
    header: Option<(&'static str, Type, &'static str)>,
}

const RETRY_AFTER: Option<(&str, Type, &str)> =
    Some(("Retry-After", Type::Integer, "Seconds to wait before trying again."));

const fn answer(status: &'static str, name: &'static str, means: &'static str) -> ErrorAnswer {
    ErrorAnswer { status, name, means, header: None }
}

/// Every error that an operation may document.
const ANSWERS: [ErrorAnswer; 12] = [
    answer("400", "BadRequest", "The request is wrong: where, what was expected, what came, how to fix it."),
    ErrorAnswer {
        header: Some(("WWW-Authenticate", Type::String, "How to show a token.")),
        ..answer("401", "Unauthenticated", "This needs a token, or the token is not known.")
    },
    answer("403", "Forbidden", "The token, or the page that sent the request, may not do this."),
    answer("404", "NotFound", "There is no such model or version."),
    answer("406", "NotAcceptable", "The version of the API that was asked for does not exist."),
    answer("408", "BodyTimeout", "The body did not arrive in time."),
    answer("413", "TooLarge", "The body is larger than the server's limit."),
    answer("415", "UnsupportedMediaType", "The body's media type or content encoding is not read here."),
    ErrorAnswer { header: RETRY_AFTER, ..answer("429", "QuotaExceeded", "The caller has used up its quota.") },
    answer("500", "Internal", "A fault of the server or of the model."),
    answer("501", "Unsupported", "Understood, and deliberately not done."),
    ErrorAnswer { header: RETRY_AFTER, ..answer("503", "Unavailable", "Not ready, no room, or not done in time.") },
];

macro_rules! sets {
    ($($(#[$doc:meta])* $set:ident: $($status:literal)*;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $set;

        impl IntoResponses for $set {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                const STATUSES: &[&str] = &[$($status),*];
                let wanted = ANSWERS.iter().filter(|answer| STATUSES.contains(&answer.status));
                wanted.map(|answer| (answer.status.to_owned(), Ref::from_response_name(answer.name).into())).collect()
            }
        }
    )*};
}

sets! {
    /// Of every route that is not public.
    Guarded: "401" "403" "429";
    /// Of a path that names a model.
    OfModel: "400" "404" "503";
    /// Of a path that names a model, where the route has its own words for one that is not ready.
    OfModelName: "400" "404";
    /// Of a route that reads a body.
    OfBody: "400" "408" "413" "415" "500";
    /// Of a route that loads models.
    OfLoading: "500" "501" "503";
    /// Of a route of the native API.
    OfNative: "400" "406" "500";
    /// Of a route that a model may be unfit for.
    OfFitness: "501";
    /// Of a path that names something that may not be there, other than a model.
    OfName: "404";
}

/// The schema of problems.
const PROBLEM: &str = "ProblemBody";

/// What the names of problem answers end in.
pub(crate) const OF_PROBLEMS: &str = "Problem";

/// Writes the answers down, and lets the operations below `/api` answer with problems.
pub(super) fn write_down(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::default);
    for answer in &ANSWERS {
        components.responses.insert(answer.name.to_owned(), answer.response("application/json", "ErrorBody").into());
        let problem = answer.response(problem::MEDIA_TYPE, PROBLEM);
        components.responses.insert(format!("{}{OF_PROBLEMS}", answer.name), problem.into());
    }
    let native = document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/"));
    for response in native.flat_map(|(_, item)| operations(item)).flat_map(|one| one.responses.responses.values_mut()) {
        if let RefOr::Ref(reference) = response {
            reference.ref_location.push_str(OF_PROBLEMS);
        }
    }
    leave_out_what_nobody_names(document);
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn leave_out_what_nobody_names(document: &mut OpenApi) {
    let items = document.paths.paths.values_mut().flat_map(operations);
    let named: Vec<String> = items
        .flat_map(|operation| operation.responses.responses.values())
        .filter_map(|response| match response {
            RefOr::Ref(reference) => reference.ref_location.rsplit('/').next().map(str::to_owned),
            RefOr::T(_) => None,
        })
        .collect();
    if let Some(components) = &mut document.components {
        components.responses.retain(|name, _| named.contains(name));
    }
}

impl ErrorAnswer {
    fn response(&self, media: &str, schema: &str) -> Response {
        let text = |kind: Type| Some(Schema::from(ObjectBuilder::new().schema_type(kind).build()));
        let reason = HeaderBuilder::new()
            .schema(text(Type::String))
            .description(Some("Why there is no room, or else the error's code, as one word."));
        let mut response = ResponseBuilder::new()
            .description(self.means)
            .content(media, Content::new(Some(Ref::from_schema_name(schema))))
            .header("candor-reason", reason.build());
        if let Some((name, kind, means)) = &self.header {
            let header = HeaderBuilder::new().schema(text(kind.clone())).description(Some(*means));
            response = response.header(*name, header.build());
        }
        response.build()
    }
}
