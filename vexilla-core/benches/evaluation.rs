//! What an evaluation costs: `cargo bench -p vexilla-core`.
//!
//! The flags are 200: one with a string constraint and a 50 % rollout (S1), one
//! that is disabled, and fillers of the same shape.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::{Context, ContextRef, EmptyEntity, FlagSet, Flags, Snapshot, ValueRef};

fn flag(key: &str, country: &str) -> Flag {
    Flag::new(key)
        .enabled(true)
        .variant(Variant::new("on").attachment(serde_json::json!({"enabled": true})))
        .variant(Variant::new("off").attachment(serde_json::json!({"enabled": false})))
        .segment(
            Segment::new()
                .rollout(50)
                .constraint(Constraint::new("country", "EQ", format!("{country:?}")))
                .distribution("on", 100),
        )
}

fn flags(count: usize) -> FlagSet {
    let fillers = (2..count).map(|n| flag(&format!("filler-{n}"), "AR"));
    [flag("s1", "BR"), flag("disabled", "BR").enabled(false)]
        .into_iter()
        .chain(fillers)
        .collect()
}

fn contexts() -> Vec<Context> {
    (0..1024)
        .map(|n| {
            Context::new(&format!("user-{n}"))
                .with("age", 31)
                .with("tier", "premium")
                .with("country", "BR")
                .with("version", "2.3.4")
        })
        .collect()
}

fn evaluation(c: &mut Criterion) {
    let snapshot = Arc::new(Snapshot::new(flags(200)));
    let handles: Vec<_> = contexts()
        .into_iter()
        .map(|context| Flags::new(Arc::clone(&snapshot), context))
        .collect();
    let mut next = handles.iter().cycle();
    let mut one = || next.next().unwrap_or(&handles[0]);

    // The least code that can do S1: no look-up, one comparison, one CRC.
    c.bench_function("floor of S1, flag at hand", |b| {
        let ids: Vec<_> = (0..1024).map(|n| format!("user-{n}")).collect();
        let mut next = ids.iter().cycle();
        b.iter(|| {
            let id = next.next().map_or("", String::as_str);
            let mut hasher = crc32fast::Hasher::new_with_initial(crc32fast::hash(b"1"));
            hasher.update(id.as_bytes());
            black_box("BR") == "BR" && hasher.finalize() % 1000 < 500
        });
    });
    c.bench_function("S1 by key", |b| b.iter(|| one().bool(black_box("s1"))));
    c.bench_function("disabled flag", |b| {
        b.iter(|| one().bool(black_box("disabled")));
    });
    c.bench_function("unknown flag", |b| {
        b.iter(|| one().bool(black_box("unknown")));
    });
    c.bench_function("S1, borrowed context", |b| {
        b.iter(|| {
            let attributes = [
                ("age", ValueRef::Number(31.0)),
                ("tier", ValueRef::String("premium")),
                ("country", ValueRef::String(black_box("BR"))),
                ("version", ValueRef::String("2.3.4")),
            ];
            let context = ContextRef::new(black_box("user-1")).attributes(&attributes);
            snapshot
                .evaluate(black_box("s1"), &context, EmptyEntity::NoRollout)
                .variant_id()
        });
    });
    c.bench_function("S1, owned context", |b| {
        b.iter(|| {
            let context = Context::new(black_box("user-1"))
                .with("tier", "premium")
                .with("country", black_box("BR"))
                .with("version", "2.3.4")
                .with("plan", "pro");
            Flags::new(Arc::clone(&snapshot), context).bool(black_box("s1"))
        });
    });
    c.bench_function("explanation of S1", |b| {
        b.iter(|| one().explain(black_box("s1")));
    });
    c.bench_function("all 200 flags", |b| {
        b.iter(|| {
            one()
                .all()
                .filter(|(_, e)| e.variant_id().is_some())
                .count()
        });
    });
}

fn compiling(c: &mut Criterion) {
    let mut group = c.benchmark_group("read and compile");
    group.sample_size(10);
    for count in [200, 10_000] {
        let mut set = flags(count);
        set.assign_missing_ids();
        let export = serde_json::to_vec(&set).unwrap_or_default();
        group.bench_function(format!("{count} flags"), |b| {
            b.iter(|| FlagSet::from_export(black_box(&export)).map(Snapshot::new));
        });
    }
    group.finish();
}

criterion_group!(benches, evaluation, compiling);
criterion_main!(benches);
