//! Typed flag definitions: key, type and default in one place.
//!
//! `cargo run -p vexilla-examples --bin typed_flags`

use std::error::Error;

use serde::Deserialize;
use vexilla_core::{BoolFlag, Context, FileSource, IntFlag, StringFlag, Vexilla};

static NEW_CHECKOUT: BoolFlag = BoolFlag::new("new_checkout_flow", false);
static MAX_UPLOAD_MB: IntFlag = IntFlag::new("max_upload_mb", 10);
static BUTTON_COLOR: StringFlag = StringFlag::new("button_color", "#777");
static NOT_IN_FLAGR: BoolFlag = BoolFlag::new("not_in_flagr", true);

/// The attachment of a variant, as a type of one's own.
#[derive(Debug, Deserialize)]
struct Button {
    value: String,
    size: u32,
}

#[expect(clippy::print_stdout, reason = "what the program is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let file = FileSource::new(concat!(env!("CARGO_MANIFEST_DIR"), "/flags.json"));
    let flags = Vexilla::fixed(file.read()?).flags(Context::new("alice").with("tier", "premium"));

    println!("new checkout: {}", flags.get(&NEW_CHECKOUT));
    println!("upload: {} MB", flags.get(&MAX_UPLOAD_MB));
    println!("button: {}", flags.get(&BUTTON_COLOR));
    println!("a default: {}", flags.get(&NOT_IN_FLAGR));
    if let Some(button) = flags.json::<Button>(BUTTON_COLOR.key()) {
        println!("button as a type: {} px of {}", button.size, button.value);
    }
    Ok(())
}
