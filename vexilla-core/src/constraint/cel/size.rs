//! How much memory a compiled expression takes.

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue};
use cel::common::types::{CelBytes, CelList, CelString};
use cel::common::value::Val;

use super::super::size::{array, piece};
use super::compile::Compiled;

impl Compiled {
    /// The memory behind it, in bytes, itself not counted.
    pub(super) fn bytes(&self) -> u64 {
        of_node(&self.expression) + self.slots.bytes()
    }
}

/// The memory behind a node. A tree is at most as deep as what may be run.
fn of_node(node: &IdedExpr) -> u64 {
    let all = |nodes: &[IdedExpr]| nodes.iter().map(of_node).sum::<u64>();
    let boxed = |node: &IdedExpr| array::<IdedExpr>(1) + of_node(node);
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => piece(text.inner().len()),
        Expr::Literal(LiteralValue::Bytes(bytes)) => piece(bytes.inner().len()),
        Expr::Ident(name) => piece(name.capacity()),
        Expr::Select(select) => boxed(&select.operand) + piece(select.field.capacity()),
        Expr::Call(call) => {
            piece(call.func_name.capacity())
                + call.target.as_deref().map_or(0, boxed)
                + array::<IdedExpr>(call.args.capacity())
                + all(&call.args)
        }
        Expr::List(list) => {
            array::<IdedExpr>(list.elements.capacity())
                + array::<usize>(list.optional_indices.capacity())
                + all(&list.elements)
        }
        Expr::Map(map) => of_entries(map.entries.capacity(), &map.entries),
        Expr::Struct(message) => {
            piece(message.type_name.capacity())
                + of_entries(message.entries.capacity(), &message.entries)
        }
        Expr::Comprehension(inner) => {
            let parts = [
                &inner.iter_range,
                &inner.accu_init,
                &inner.loop_cond,
                &inner.loop_step,
                &inner.result,
            ];
            let second = inner.iter_var2.as_ref().map_or(0, String::capacity);
            array::<ComprehensionExpr>(1)
                + piece(inner.iter_var.capacity())
                + piece(inner.accu_var.capacity())
                + piece(second)
                + parts.into_iter().map(of_node).sum::<u64>()
        }
        Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

fn of_entries(capacity: usize, entries: &[IdedEntryExpr]) -> u64 {
    let of_entry = |entry: &IdedEntryExpr| match &entry.expr {
        EntryExpr::MapEntry(member) => of_node(&member.key) + of_node(&member.value),
        EntryExpr::StructField(field) => piece(field.field.capacity()) + of_node(&field.value),
    };
    array::<IdedEntryExpr>(capacity) + entries.iter().map(of_entry).sum::<u64>()
}

/// The memory of a constant.
pub(super) fn of_value(value: &dyn Val) -> u64 {
    let behind = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        piece(text.inner().len())
    } else if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        piece(bytes.inner().len())
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        let items = list.inner();
        let values = items.iter().map(|item| of_value(item.as_ref()));
        array::<Box<dyn Val>>(items.len()) + values.sum::<u64>()
    } else {
        0
    };
    piece(size_of_val(value)) + behind
}
