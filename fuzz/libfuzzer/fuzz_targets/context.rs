#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vexilla_fuzz::context::run(data));
