//! The interface's status codes and the server's words for errors.
//!
//! Neither side's codes are passed on as they are. It knows nothing else.

use candor_domain::error::ErrorCode;
use candor_plugin_abi as abi;

/// The server's word for a status of a plugin.
pub fn code(status: i32) -> ErrorCode {
    match status {
        abi::INVALID => ErrorCode::InvalidInput,
        abi::UNSUPPORTED => ErrorCode::Unsupported,
        abi::NOT_FOUND => ErrorCode::NotFound,
        abi::RESOURCE => ErrorCode::Overloaded,
        abi::CANCELLED => ErrorCode::Cancelled,
        abi::DEADLINE => ErrorCode::DeadlineExceeded,
        abi::UNAVAILABLE => ErrorCode::NotReady,
        _ => ErrorCode::EngineFailed,
    }
}

/// The interface's status for one of our errors.
pub fn status(code: ErrorCode) -> i32 {
    match code {
        ErrorCode::InvalidInput | ErrorCode::TooLarge => abi::INVALID,
        ErrorCode::NotFound => abi::NOT_FOUND,
        ErrorCode::Unsupported => abi::UNSUPPORTED,
        ErrorCode::Overloaded | ErrorCode::QuotaExceeded => abi::RESOURCE,
        ErrorCode::Cancelled => abi::CANCELLED,
        ErrorCode::DeadlineExceeded => abi::DEADLINE,
        ErrorCode::NotReady | ErrorCode::BreakerOpen => abi::UNAVAILABLE,
        ErrorCode::UnsupportedMediaType
        | ErrorCode::BodyTimeout
        | ErrorCode::MethodNotAllowed
        | ErrorCode::NotAcceptable
        | ErrorCode::Unauthenticated
        | ErrorCode::Forbidden
        | ErrorCode::InvalidModel
        | ErrorCode::EngineFailed
        | ErrorCode::Internal => abi::INTERNAL,
    }
}
