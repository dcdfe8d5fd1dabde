//! The same evaluations through Vexilla and through other engines, measured
//! side by side: `cargo run --release` in this folder, `-- 10` for ten batches
//! in place of sixty.
//!
//! **Purpose.** One table of what an evaluation costs here and elsewhere, and one
//! of the bars that Vexilla has set itself, from one run on one machine. Absolute
//! figures move from machine to machine; the ratios within a run are what counts.
//!
//! **Ours.** The scenario, the measuring, and the floor: the least code that can
//! do the work for one fixed set of flags, so that an engine's figure can be read
//! as a multiple of what the work itself costs.
//!
//! **Not ours.** `unleash-yggdrasil`, `eppo_core` and
//! `launchdarkly-server-sdk-evaluation` in exact versions from the registry. Each
//! is set up with its fastest documented path and prebuilt contexts; the file of
//! each under `peers/` says what it does more or less than we do. Clients that
//! wrap these engines cost more than the engines do, and are not here. Nor is the
//! `regex` crate ours, which one bar is measured against.
//!
//! **Scenario.** 204 flags and 1,024 users, see [`scenario`]; what only the bars
//! need stands under `bars/`. Before anything is measured, each system must give
//! the right answer for every user and flag, and each batch must come to the same
//! count of `true`.
//!
//! **Measuring.** CPU time of the measuring thread, in batches of about 20 ms.
//! The batches of all systems take turns, so that noise hits all alike; a figure
//! is the median of the batches. Allocations are counted over 4,096 calls (eight
//! of reading and compiling) by the global allocator, which costs each allocation
//! one thread-local addition. Throughput is calls in a second of CPU time of each
//! thread, on one shared client, the best of the 15 least disturbed of up to 60
//! slices of 50 ms, for one thread as for two. What threads cost each other shows
//! only while both run: the output says how much of two cores they had. The reader
//! beside swaps is measured by the clock, too, see `bars/swap.rs`. All of it takes
//! some four minutes.

mod allocations;
mod bars;
mod measure;
mod peers;
mod scenario;
mod table;
mod throughput;

use std::process::ExitCode;

use bars::Bars;
use peers::System;

fn main() -> ExitCode {
    let batches = std::env::args().nth(1).map_or(Ok(60), |text| text.parse());
    let Ok(batches @ 1..) = batches else {
        eprintln!("the only argument is a number of batches, at least 1");
        return ExitCode::FAILURE;
    };
    match run(batches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(batches: usize) -> Result<(), String> {
    let flags = scenario::flags();
    let users = scenario::users();
    let systems: [Box<dyn System>; 5] = [
        Box::new(peers::floor::Floor::new(&flags, &users)),
        Box::new(peers::vexilla::Vexilla::new(&flags, &users)),
        Box::new(peers::yggdrasil::Yggdrasil::new(&flags, &users)),
        Box::new(peers::eppo::Eppo::new(&flags, &users)),
        Box::new(peers::launchdarkly::LaunchDarkly::new(&flags, &users)),
    ];
    for system in &systems {
        scenario::check(system.as_ref(), &flags, &users)
            .map_err(|problem| format!("{}: {problem}", system.name()))?;
    }
    scenario::check_same(&*systems[0], &*systems[1], &flags, &users)
        .map_err(|problem| format!("floor and Vexilla: {problem}"))?;
    let bars = Bars::new(&flags, &users, &*systems[0])?;

    let mut cases: Vec<_> = systems.iter().flat_map(|system| system.cases()).collect();
    cases.extend(bars.cases());
    eprintln!("{} cases, {batches} batches each", cases.len());
    let figures = measure::all(&cases, batches)?;
    eprintln!("throughput");
    let rates = throughput::all(&cases);
    let documents: Vec<_> = systems
        .iter()
        .filter_map(|system| Some((system.name(), system.document_bytes()?)))
        .collect();
    table::print(&figures, &rates, &documents);
    bars.print(&figures, &rates)
}
