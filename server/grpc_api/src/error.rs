//! Error codes to gRPC's, exhaustively and once.
//!
//! Besides code and sentence an answer carries `candor-reason` (the word of the error: why there is no room, or its code) and, where it makes sense
//! to come back, `retry-after` in seconds and gRPC's own `grpc-retry-pushback-ms`.

use candor_domain::{Error, ErrorCode};
use tonic::{Code, Status, metadata::MetadataValue};

/// The code of each error: Triton's map, UNAVAILABLE for "not now", and gRPC's own words for what only a door can
/// see.
#[must_use]
pub const fn code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidInput
        | ErrorCode::InvalidModel
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::NotAcceptable => Code::InvalidArgument,
        ErrorCode::TooLarge | ErrorCode::QuotaExceeded => Code::ResourceExhausted,
        ErrorCode::BodyTimeout | ErrorCode::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::MethodNotAllowed | ErrorCode::Unsupported => Code::Unimplemented,
        ErrorCode::Unauthenticated => Code::Unauthenticated,
        ErrorCode::Forbidden => Code::PermissionDenied,
        ErrorCode::Overloaded | ErrorCode::NotReady | ErrorCode::BreakerOpen => Code::Unavailable,
        ErrorCode::Cancelled => Code::Cancelled,
        ErrorCode::EngineFailed | ErrorCode::Internal => Code::Internal,
    }
}

/// gRPC's codes as words of metrics, by number.
pub const CODES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// The place of a code among [`CODES`].
pub(crate) fn place(code: Code) -> usize {
    usize::try_from(i32::from(code)).unwrap_or(0)
}

/// Longest sentence in bytes: it travels as metadata, of which clients take 8 KiB by default, and a character may
/// become three there.
const MESSAGE_BYTES_MAX: usize = 2048;

/// An error on its way out of this door; a fault of ours is logged.
pub(crate) fn status(error: &Error) -> Status {
    let code = code(error.code());
    if code == Code::Internal {
        tracing::error!(code = error.code().word(), "{error}");
    }
    let mut status = Status::new(code, shortened(error.to_string()));
    let metadata = status.metadata_mut();
    metadata.insert("candor-reason", MetadataValue::from_static(error.word()));
    if let Some(seconds) = error.retry_after() {
        metadata.insert("retry-after", seconds.into());
        metadata.insert("grpc-retry-pushback-ms", seconds.saturating_mul(1000).into());
    }
    status
}

fn shortened(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code_that_is_no_success_and_says_its_word() {
        for error in ErrorCode::ALL {
            let status = status(&Error::new(error, "x").retry_after_s(2));
            assert!(!matches!(status.code(), Code::Ok | Code::Unknown), "{error:?}");
            assert_eq!(status.metadata().get("candor-reason").unwrap(), error.word());
            assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "2000");
        }
    }

    #[test]
    fn codes_stand_at_their_numbers() {
        for (number, word) in (0..).zip(CODES) {
            let code = Code::from_i32(number);
            let name = format!("{code:?}").to_lowercase();
            assert_eq!((place(code), word.replace('_', "")), (usize::try_from(number).unwrap(), name));
        }
    }

    #[test]
    fn a_long_sentence_still_fits_into_metadata() {
        let status = status(&Error::invalid("ж".repeat(10_000)));
        assert!(status.message().len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
        assert!(status.message().ends_with("жж…"));
    }
}
