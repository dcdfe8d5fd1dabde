//! Writes the seeds and committed inputs of all targets into a folder, for a
//! fuzzer that wants a corpus: `cargo run -p vexilla-fuzz --bin seeds -- corpus`.

use std::error::Error;
use std::path::PathBuf;

use vexilla_fuzz::{Recorded, TARGETS, inputs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("name a folder")?;
    let folder = PathBuf::from(folder);
    let recorded = Recorded::read();
    for target in &TARGETS {
        let folder = folder.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)(&recorded).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:04}")), seed)?;
        }
        for (name, input) in inputs(target) {
            std::fs::write(folder.join(name), input)?;
        }
    }
    Ok(())
}
