//! One target under libFuzzer: the one that ACERVO_FUZZ_TARGET names.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

mod targets;

fn chosen() -> fn(&[u8]) {
    static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("ACERVO_FUZZ_TARGET").unwrap_or_default();
        let target = targets::TARGETS.iter().find(|target| target.0 == name);
        let names: Vec<_> = targets::TARGETS.iter().map(|target| target.0).collect();
        target.unwrap_or_else(|| panic!("ACERVO_FUZZ_TARGET is none of {}", names.join(", "))).1
    })
}

fuzz_target!(|input: &[u8]| chosen()(input));
