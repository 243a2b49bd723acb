//! Who may reach the doors, and what they may do there without a token.

use std::net::SocketAddr;

use super::settings::Reader;

/// Whether faults can be ordered. Whoever can reach the port without a token may not do so.
pub(super) fn read_reach(read: &mut Reader<'_>, has_tokens: bool, doors: [(&str, &[SocketAddr]); 2]) -> bool {
    let open_to_all = |addrs: &[SocketAddr]| !has_tokens && addrs.iter().any(|addr| !addr.ip().is_loopback());
    let faults_enabled = read.boolean("faults.enabled");
    if faults_enabled && doors.iter().any(|(_, addrs)| open_to_all(addrs)) {
        read.complain("faults.enabled", "beyond loopback needs auth.tokens_file: anybody could order faults");
    }
    let insecure = read.boolean("auth.insecure");
    for (key, _) in doors.into_iter().filter(|(_, addrs)| !insecure && open_to_all(addrs)) {
        read.complain(
            key,
            "listening beyond loopback needs auth.tokens_file, or --insecure for a network that is trusted",
        );
    }
    faults_enabled
}
