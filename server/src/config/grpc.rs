//! What `[grpc]` means.

use std::{net::SocketAddr, time::Duration};

use candor_grpc_api::GrpcLimits;
use candor_http_api::HttpLimits;

use super::settings::{DAY_MS, GIB, Reader};

/// What stands in the address of a door that is not wanted.
pub(super) const OFF: &str = "off";

/// Everything that the gRPC door needs to know.
#[derive(Debug, Clone)]
pub struct GrpcSettings {
    /// Where it listens; nowhere when it is off.
    pub addrs: Vec<SocketAddr>,
    /// Whether somebody has chosen that address.
    pub addr_is_chosen: bool,
    /// Whether clients may ask which methods there are.
    pub reflection: bool,
    /// What callers may do.
    pub limits: GrpcLimits,
}

impl GrpcSettings {
    /// Checks every value; what both doors bound alike is that of HTTP.
    pub(super) fn read(read: &mut Reader<'_>, http: &HttpLimits) -> Self {
        let seconds = |read: &mut Reader<'_>, key| Duration::from_secs(read.whole(key, 1..=DAY_MS / 1000));
        let or_never = |read: &mut Reader<'_>, key| {
            Some(read.whole(key, 0..=DAY_MS / 1000)).filter(|seconds| *seconds > 0).map(Duration::from_secs)
        };
        let limits = GrpcLimits {
            // A message's own length has 32 bits.
            message_bytes_max: read.size("grpc.message_bytes_max", 1..=4 * GIB - 1),
            message_read_max: http.body_read_max,
            tensors: http.tensors.clone(),
            connections_max: read.size("grpc.connections_max", 1..=1_000_000),
            calls_per_connection_max: u32::try_from(read.whole("grpc.calls_per_connection_max", 1..=65_536))
                .unwrap_or(1),
            stream_inflight_max: read.size("grpc.stream_inflight_max", 1..=1024),
            stream_idle_max: read.millis("grpc.stream_idle_ms_max"),
            answer_read_max: read.millis("grpc.answer_read_ms_max"),
            connection_idle_max: or_never(read, "grpc.connection_idle_s_max"),
            connection_age_max: or_never(read, "grpc.connection_age_s_max"),
            connection_age_grace: Duration::from_secs(read.whole("grpc.connection_age_grace_s", 0..=DAY_MS / 1000)),
            keep_alive: seconds(read, "grpc.keep_alive_s"),
            keep_alive_wait: seconds(read, "grpc.keep_alive_wait_s"),
        };
        Self {
            addrs: if read.text("grpc.addr") == OFF { Vec::new() } else { read.addresses("grpc.addr") },
            addr_is_chosen: read.is_chosen("grpc.addr"),
            reflection: read.boolean("grpc.reflection"),
            limits,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Layers, Settings};

    #[test]
    fn nobody_chose_the_default_and_off_is_no_address() {
        let read = |flag: Option<&str>| {
            let mut layers = Layers::default();
            flag.into_iter().for_each(|flag| layers.add_flag("--grpc-addr", flag));
            Settings::read(&mut layers).unwrap().grpc
        };
        let default = read(None);
        assert_eq!((default.addrs, default.addr_is_chosen), (vec!["127.0.0.1:8001".parse().unwrap()], false));
        let same = read(Some("127.0.0.1:8001"));
        assert!(same.addr_is_chosen);
        assert!(read(Some("off")).addrs.is_empty());
    }
}
