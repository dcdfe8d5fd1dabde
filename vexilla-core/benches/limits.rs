//! What large and hostile input costs: each at two sizes, a tenth and the whole;
//! reading and compiling at four that double.
//!
//! The throughput of the two must be about the same, or that of the larger
//! better: the time then grows with the size at most. (Building an owned context
//! looks each name up in a search tree, so that a logarithm is added.)
//!
//! Ours: all but the matching of regular expressions, which is the `regex`
//! crate's, and is measured here without the limit on its work. Sizes are those of "Limits" in the crate's README; what is beyond
//! them is refused when it is compiled, and is not measured here.
//!
//! `cargo bench -p vexilla-core --bench limits`

use std::hash::BuildHasher;
use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rustc_hash::FxBuildHasher;
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::snapshot::Snapshot;
use vexilla_core::{Context, Flags, Limits, Vexilla};

fn segment(property: &str, operator: &str, value: &str) -> Segment {
    Segment::new()
        .constraint(Constraint::new(property, operator, value))
        .distribution("on", 100)
}

fn flag(segments: impl IntoIterator<Item = Segment>) -> Flag {
    let flag = Flag::new("flag").enabled(true).variant(Variant::new("on"));
    segments.into_iter().fold(flag, Flag::segment)
}

fn flags(flag: Flag, context: Context) -> Flags {
    let limits = Limits::new().regex_work(u64::MAX);
    let vexilla = Vexilla::fixed_with_limits([flag], &limits);
    assert_eq!(vexilla.snapshot().problem_count(), 0);
    vexilla.flags(context)
}

/// Benches the evaluation of what `make` makes of a tenth and of the whole size.
fn both_sizes(c: &mut Criterion, name: &str, size: usize, make: impl Fn(usize) -> Flags) {
    let mut group = c.benchmark_group(name);
    for size in [size / 10, size] {
        let flags = make(size);
        group.throughput(Throughput::Elements(
            u64::try_from(size).unwrap_or(u64::MAX),
        ));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| flags.bool(black_box("flag")));
        });
    }
    group.finish();
}

fn attributes(count: usize) -> Context {
    (0..count).fold(Context::new("u"), |context, n| {
        context.with(&format!("attribute-{n}"), "x")
    })
}

fn contexts(c: &mut Criterion) {
    let mut group = c.benchmark_group("context of many attributes, built");
    for count in [1_000, 10_000] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            let count = usize::try_from(count).unwrap_or(0);
            b.iter(|| attributes(black_box(count)));
        });
    }
    group.finish();

    both_sizes(
        c,
        "context of many attributes, evaluated",
        10_000,
        |count| {
            let last = segment("country", "EQ", "\"BR\"");
            flags(flag([last]), attributes(count).with("country", "BR"))
        },
    );
    for (what, operator, value) in [
        ("compared", "EQ", "\"BR\"".to_owned()),
        ("in a list", "IN", format!("{:?}", ["BR"; 50])),
        ("matched", "EREG", "\"(a|aa)+b\"".to_owned()),
    ] {
        let name = format!("attribute of 10 MB, {what}");
        both_sizes(c, &name, 10 << 20, |bytes| {
            let text = format!("{}!", "a".repeat(bytes - 1));
            let constraint = segment("text", operator, &value);
            flags(flag([constraint]), Context::new("u").with("text", text))
        });
    }
}

fn definitions(c: &mut Criterion) {
    let list = |items: &mut dyn Iterator<Item = String>| {
        format!("[{}]", items.collect::<Vec<_>>().join(","))
    };
    both_sizes(c, "IN of many strings", 32_768, |count| {
        let values = list(&mut (0..count).map(|n| format!("\"item-{n}\"")));
        let context = Context::new("u").with("p", format!("item-{}", count - 1));
        flags(flag([segment("p", "IN", &values)]), context)
    });
    both_sizes(c, "IN of many numbers", 32_768, |count| {
        let values = list(&mut (0..count).map(|n| n.to_string()));
        flags(
            flag([segment("p", "IN", &values)]),
            Context::new("u").with("p", -1),
        )
    });
    both_sizes(c, "segments, none of which matches", 1_000, |count| {
        let segments = (0..count).map(|n| segment("country", "EQ", &format!("\"c-{n}\"")));
        flags(flag(segments), Context::new("u").with("country", "BR"))
    });
    for pattern in ["(a+)+$", "(a|aa)+b", "(a{1,30}){1,30}b"] {
        let name = format!("regular expression {pattern}");
        both_sizes(c, &name, 100_000, |bytes| {
            let text = format!("{}!", "a".repeat(bytes - 1));
            let constraint = segment("text", "EREG", &format!("\"{pattern}\""));
            flags(flag([constraint]), Context::new("u").with("text", text))
        });
    }
}

/// Benches a call at sizes that double.
fn doubling<I, O>(
    c: &mut Criterion,
    name: &str,
    size: usize,
    make: impl Fn(usize) -> I,
    run: impl Fn(I) -> O,
) {
    let mut group = c.benchmark_group(name);
    for size in [size, size * 2, size * 4, size * 8] {
        let throughput = u64::try_from(size).unwrap_or(u64::MAX);
        group.throughput(Throughput::Elements(throughput));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_batched(|| make(size), &run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// A document of one flag with so many elements, which are empty, in a list of
/// its.
fn document(list: &str, elements: usize) -> Vec<u8> {
    let elements = vec!["{}"; elements].join(",");
    format!(r#"{{"Flags":[{{"Key":"f","{list}":[{elements}]}}]}}"#).into_bytes()
}

/// Flags with as many distributions among as many variants as they may have.
fn distributions(count: usize) -> FlagSet {
    const MOST: usize = 1_000;
    let key = |n: usize| format!("variant-{n}");
    let segment = (0..MOST).fold(Segment::new(), |segment, n| {
        segment.distribution(key(n), u64::from(n < 100))
    });
    let flag = (0..MOST).fold(Flag::new("f").enabled(true), |flag, n| {
        flag.variant(Variant::new(key(n)))
    });
    let flag = flag.segment(segment);
    let keyed = |n| {
        let mut flag = flag.clone();
        flag.key = format!("flag-{n}");
        flag
    };
    (0..count / MOST).map(keyed).collect()
}

/// Keys whose look-ups all start at the same slot of an index of so many.
fn colliding(count: usize) -> FlagSet {
    let mask = u64::try_from(count * 2).map_or(u64::MAX, |slots| slots.next_power_of_two() - 1);
    let keys = (0_u64..).map(|n| format!("flag-{n}"));
    let keys = keys.filter(|key| FxBuildHasher.hash_one(key.as_str()) & mask == 7);
    keys.take(count).map(Flag::new).collect()
}

fn reading_and_compiling(c: &mut Criterion) {
    let read = |document: Vec<u8>| FlagSet::from_json(&document);
    for list in ["Segments", "Variants", "Tags"] {
        let name = format!("read a flag of many {list}");
        doubling(c, &name, 25_000, |size| document(list, size), read);
    }
    doubling(
        c,
        "compile many distributions",
        12_500,
        distributions,
        Snapshot::new,
    );
    doubling(
        c,
        "compile flags whose keys collide",
        500,
        colliding,
        Snapshot::new,
    );
    doubling(
        c,
        "swap counted flags of many variants",
        12_500,
        |size| {
            let counted = Vexilla::fixed(distributions(size)).with_evaluation_counts();
            (counted, distributions(size))
        },
        |(counted, set)| {
            counted.replace(set);
            counted
        },
    );
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = contexts, definitions, reading_and_compiling
}
criterion_main!(benches);
