//! Feature flags in a worker: a context per job, no web framework, and flags
//! that change while it runs.
//!
//! `cargo run -p vexilla-examples --bin worker`

use std::error::Error;

use vexilla_core::flag::Flag;
use vexilla_core::source::MemorySource;
use vexilla_core::{Context, Flags, Vexilla};

#[derive(Debug)]
struct Job {
    customer: &'static str,
    megabytes: u32,
}

fn process(job: &Job, flags: &Flags) -> String {
    if flags.bool("compress_uploads") {
        format!("{}: compressing {} MB", job.customer, job.megabytes)
    } else {
        format!("{}: storing {} MB", job.customer, job.megabytes)
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "what the program is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let source = MemorySource::new([Flag::boolean("compress_uploads", false)]);
    let vexilla = Vexilla::builder(source.clone()).build().await?;
    let job = Job {
        customer: "acme",
        megabytes: 12,
    };
    let context = Context::new(job.customer)
        .with_entity_type("customer")
        .with("megabytes", job.megabytes);

    // A `Flags` stays as it is, even in a task that goes on for long…
    let flags = vexilla.flags(context.clone());
    source.update(|set| *set = [Flag::boolean("compress_uploads", true)].into());
    vexilla.refresh().await?;
    println!("{}", process(&job, &flags));

    // …and the next one sees the change.
    let flags = vexilla.flags(context);
    let task = tokio::spawn(async move { process(&job, &flags) });
    println!("{}", task.await?);
    Ok(())
}
