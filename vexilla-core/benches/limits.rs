//! What large and hostile input costs: each at two sizes, a tenth and the whole.
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

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
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

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = contexts, definitions
}
criterion_main!(benches);
