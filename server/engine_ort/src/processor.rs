//! What this processor is and can do, in a line: what was optimised or measured for one is not for another.

use std::{fs::File, io::Read as _};

/// The first processor's description is well within this; those of all of many take the system a while.
const HEAD_BYTES: u64 = 16 << 10;

/// The architecture, and what the system says of the first processor's model and abilities, where it does.
#[must_use]
pub fn processor() -> String {
    let mut head = Vec::new();
    let read = File::open("/proc/cpuinfo").and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    let text = if read.is_ok() { String::from_utf8_lossy(&head) } else { "".into() };
    // x86 names and flags; ARM's parts and features.
    let telling = [
        "vendor_id",
        "model name",
        "cpu family",
        "model",
        "stepping",
        "flags",
        "CPU implementer",
        "CPU part",
        "Features",
    ];
    let first = text.split("\n\n").next().unwrap_or_default();
    let lines = first.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        telling.contains(&key.trim()).then(|| value.trim())
    });
    let told: Vec<&str> = std::iter::once(std::env::consts::ARCH).chain(lines).collect();
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_told_and_stays_the_same() {
        let told = processor();
        assert!(told.starts_with(std::env::consts::ARCH), "{told}");
        assert_eq!(told, processor());
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            assert!(told.contains("sse2"), "{told}");
        }
    }
}
