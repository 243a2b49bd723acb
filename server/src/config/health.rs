//! What `[health]` means for the health listener.

use std::net::SocketAddr;

use candor_health_api::HealthLimits;

use super::{grpc::OFF, settings::Reader};

/// Everything that the health listener needs to know.
#[derive(Debug, Clone)]
pub struct HealthSettings {
    /// Where it listens; nowhere when it is off.
    pub addrs: Vec<SocketAddr>,
    /// Whether somebody has chosen that address.
    pub addr_is_chosen: bool,
    /// What callers may do.
    pub limits: HealthLimits,
}

impl HealthSettings {
    /// Checks every value.
    pub(super) fn read(read: &mut Reader<'_>) -> Self {
        Self {
            addrs: if read.text("health.addr") == OFF { Vec::new() } else { read.addresses("health.addr") },
            addr_is_chosen: read.is_chosen("health.addr"),
            limits: HealthLimits {
                connections_max: read.size("health.connections_max", 1..=65_536),
                exchange_max: read.millis("health.exchange_ms_max"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Layers, Settings};

    #[test]
    fn nobody_chose_the_default_off_is_no_address_and_no_tokens_are_needed() {
        let read = |flag: Option<&str>| {
            let mut layers = Layers::default();
            flag.into_iter().for_each(|flag| layers.add_flag("--health-addr", flag));
            Settings::read(&mut layers).unwrap().health
        };
        let default = read(None);
        assert_eq!((default.addrs, default.addr_is_chosen), (vec!["127.0.0.1:8082".parse().unwrap()], false));
        assert!(read(Some("127.0.0.1:8082")).addr_is_chosen);
        assert!(read(Some("off")).addrs.is_empty());
        assert_eq!(read(Some("0.0.0.0:8082")).addrs, ["0.0.0.0:8082".parse().unwrap()]);
    }
}
