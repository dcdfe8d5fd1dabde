//! What a set of flags costs until it can answer: reading Flagr's export, compiling
//! it, and refreshing a set in which little changed.
//!
//! Ours: all that is measured. From elsewhere: the flags, which a Flagr printed
//! (see `recorded`), and within compiling the `regex` crate, for the eighth of
//! the constraints that are regular expressions.
//! Not measured: fetching, unpacking, and dropping what has been replaced.
//!
//! `cargo bench -p vexilla-core --bench compile`

#![expect(
    clippy::expect_used,
    reason = "a bench without its flags may fail by panicking"
)]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use vexilla_core::flag::FlagSet;
use vexilla_core::snapshot::Snapshot;
use vexilla_core::{Filter, Limits};

mod recorded;

fn read(export: &[u8]) -> FlagSet {
    FlagSet::from_export(export).expect("the recording is an export")
}

/// Times one call after the other, without what dropping its result takes.
fn bench<I, O>(
    c: &mut Criterion,
    name: &str,
    mut input: impl FnMut() -> I,
    run: impl FnMut(I) -> O,
) {
    let mut run = run;
    c.bench_function(name, |b| {
        b.iter_batched(&mut input, &mut run, BatchSize::PerIteration);
    });
}

fn first(c: &mut Criterion) {
    let export = recorded::export();
    assert_eq!(recorded::export_of(recorded::RECORDED), export);
    let compiled = Snapshot::new(read(&export));
    assert_eq!(
        (compiled.len(), compiled.problem_count()),
        (recorded::RECORDED, 0)
    );

    bench(c, "read 200 flags", || (), |()| read(black_box(&export)));
    bench(
        c,
        "read and compile 200 flags",
        || (),
        |()| Snapshot::new(read(black_box(&export))),
    );
    bench(c, "compile 200 flags", || read(&export), Snapshot::new);
}

fn large(c: &mut Criterion) {
    const COUNT: usize = 10_000;

    let export = recorded::export_of(COUNT);
    let filter = Filter::new();
    let previous = Snapshot::new(read(&export));
    let mut set = read(&export);
    for flag in set.flags.iter_mut().skip(COUNT / 2).take(1) {
        flag.enabled = !flag.enabled;
    }
    let changed = recorded::printed(&set);

    bench(c, "read 10,000 flags", || (), |()| read(black_box(&export)));
    bench(
        c,
        "read and compile 10,000 flags",
        || (),
        |()| Snapshot::new(read(black_box(&export))),
    );
    bench(
        c,
        "refresh, one of 10,000 flags changed",
        || (),
        |()| {
            Snapshot::build(
                read(black_box(&changed)),
                &filter,
                &Limits::new(),
                Some(&previous),
            )
        },
    );
    bench(
        c,
        "the same without reading",
        || read(&changed),
        |set| Snapshot::build(set, &filter, &Limits::new(), Some(&previous)),
    );
}

criterion_group! {
    name = few;
    config = Criterion::default().sample_size(50);
    targets = first
}
criterion_group! {
    name = many;
    config = Criterion::default().sample_size(10);
    targets = large
}
criterion_main!(few, many);
