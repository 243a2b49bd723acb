//! A filter of system calls: a plugin's process sends no signals to others and does not reach into them.
//!
//! It runs as the server's user, so that the kernel would let it end the server, or write into its memory. What the
//! filter does not know is files: what the user may open, the plugin may.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Not for a plugin, whatever is asked of them.
const NEVER: [libc::c_long; 11] = [
    // Into another process, or to it.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // Its number does not tell whose thread it is. `abort` uses `tgkill`.
    libc::SYS_tkill,
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    // Calls that no filter sees.
    libc::SYS_io_uring_setup,
];

/// Who is told when a file is ready may be anybody: `SIOCSPGRP` and `FIOSETOWN`.
const OWNERS: [u64; 2] = [0x8901, 0x8902];

type Rule = Result<SeccompRule, BackendError>;

fn is(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn one(condition: Result<SeccompCondition, BackendError>) -> Rule {
    SeccompRule::new(vec![condition?])
}

fn program(own: u64) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER.into_iter().map(|call| (call, Vec::new())).collect();
    // Signals to itself are its own affair.
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, vec![one(is(0, SeccompCmpOp::Ne, own))?]);
    }
    // Limits of another process can end it.
    let others = vec![is(0, SeccompCmpOp::Ne, 0)?, is(0, SeccompCmpOp::Ne, own)?];
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(others)?]);
    let named = |argument: u8, values: &[u64]| {
        values.iter().map(|value| one(is(argument, SeccompCmpOp::Eq, *value))).collect::<Result<Vec<_>, _>>()
    };
    // F_SETOWN and F_SETOWN_EX.
    rules.insert(libc::SYS_fcntl, named(1, &[8, 15])?);
    rules.insert(libc::SYS_ioctl, named(1, &OWNERS)?);
    // PR_SET_PDEATHSIG: it ends with the server.
    rules.insert(libc::SYS_prctl, named(0, &[1])?);
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refused, std::env::consts::ARCH.try_into()?)?.try_into()
}

/// From now on this thread, and all that it starts, is held to the filter.
pub(super) fn confine() -> std::io::Result<()> {
    let own = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
    let failed = |error: &dyn std::fmt::Display| std::io::Error::other(format!("the filter of system calls: {error}"));
    let program = program(own).map_err(|error| failed(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| failed(&error))
}
