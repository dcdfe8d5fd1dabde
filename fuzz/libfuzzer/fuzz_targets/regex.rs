#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vexilla_fuzz::regex::run(data));
