//! The values that an expression reads, and where they come from.
//!
//! The compiler replaces every variable of an expression, and every constant that is worth
//! keeping, by a slot, named `@` and its number. A run then builds only what the expression reads.

use std::collections::{BTreeMap, HashMap};

use cel::common::types::{CelBool, CelDouble, CelList, CelMap, CelMapKey, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;

use super::super::size::{array, piece};
use super::allowance::{self, ATTRIBUTES_PER_UNIT};
use super::error::CelMismatch;
use super::size;
use crate::context::{Value, ValueRef};

/// Deepest nesting of lists and maps in a context; what is deeper cannot be read.
const CONTEXT_DEPTH: usize = 64;

/// What a slot stands for.
#[derive(Debug)]
enum Slot {
    /// The attribute of this number: `x` or `ctx.x`.
    Attribute(usize),
    /// Whether the context has the attribute of this number: `has(ctx.x)`.
    Presence(usize),
    EntityId,
    EntityType,
    /// All attributes, as the map `ctx`.
    Context,
    /// A value that is part of the expression.
    Constant {
        value: Box<dyn Val>,
        cost: usize,
    },
}

/// All that one expression reads.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// The attributes that are read, numbered from 0.
    attributes: BTreeMap<Box<str>, usize>,
    reads_context: bool,
}

impl Slots {
    fn add(&mut self, slot: Slot) -> String {
        self.slots.push(slot);
        format!("@{}", self.slots.len() - 1)
    }

    /// The number of the attribute `name`, which is counted as read from now on.
    pub(super) fn number(&mut self, name: &str) -> usize {
        let next = self.attributes.len();
        *self.attributes.entry(name.into()).or_insert(next)
    }

    /// The name of a slot for the attribute `name`.
    pub(super) fn attribute(&mut self, name: &str) -> String {
        let number = self.number(name);
        self.add(Slot::Attribute(number))
    }

    /// The name of a slot for whether there is an attribute `name`.
    pub(super) fn presence(&mut self, name: &str) -> String {
        let number = self.number(name);
        self.add(Slot::Presence(number))
    }

    /// The name of a slot for the entity's ID.
    pub(super) fn entity_id(&mut self) -> String {
        self.add(Slot::EntityId)
    }

    /// The name of a slot for the entity's type.
    pub(super) fn entity_type(&mut self) -> String {
        self.add(Slot::EntityType)
    }

    /// The name of a slot for the map of all attributes.
    pub(super) fn context(&mut self) -> String {
        self.reads_context = true;
        self.add(Slot::Context)
    }

    /// The name of a slot for a value of the expression itself.
    pub(super) fn constant(&mut self, value: Box<dyn Val>) -> String {
        let cost = allowance::of_value(value.as_ref());
        self.add(Slot::Constant { value, cost })
    }

    /// The attribute that the slot called `slot` reads, to say what was missing.
    pub(super) fn attribute_of(&self, slot: &str) -> Option<&str> {
        let Slot::Attribute(number) = self.slot(slot)? else {
            return None;
        };
        self.attributes
            .iter()
            .find(|(_, other)| *other == number)
            .map(|(name, _)| &**name)
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots
            .get(name.strip_prefix('@')?.parse::<usize>().ok()?)
    }

    /// The memory of the slots, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        // A node of the map has room for eleven entries and at least five.
        let nodes = (self.attributes.len().div_ceil(5)) as u64;
        let names = self.attributes.keys().map(|name| piece(name.len()));
        let constants = self.slots.iter().map(|slot| match slot {
            Slot::Constant { value, .. } => size::of_value(value.as_ref()),
            _ => 0,
        });
        array::<Slot>(self.slots.capacity())
            + nodes * array::<(Box<str>, usize)>(12)
            + names.chain(constants).sum::<u64>()
    }

    /// Builds the values of one run.
    ///
    /// # Errors
    ///
    /// [`CelMismatch::TooCostly`] when the context, or what the expression reads of it, is too large,
    /// and [`CelMismatch::TooDeep`] when that is nested more than 64 deep.
    pub(super) fn bind<'s, 'a: 's>(
        &'s self,
        entity_id: &'s str,
        entity_type: &'s str,
        attributes: impl Iterator<Item = (&'a str, ValueRef<'a>)>,
    ) -> Result<Bound<'s>, CelMismatch> {
        let mut read: Vec<Option<Measured<'s>>> = Vec::new();
        read.resize_with(self.attributes.len(), || None);
        let mut all: HashMap<CelMapKey<'s>, Box<dyn Val + 's>> = HashMap::new();
        let mut all_cost = 1;
        for (index, (name, value)) in attributes.enumerate() {
            if index.is_multiple_of(ATTRIBUTES_PER_UNIT) && !allowance::pay(1) {
                return Err(CelMismatch::TooCostly);
            }
            if let Some(place) = self
                .attributes
                .get(name)
                .and_then(|number| read.get_mut(*number))
            {
                *place = Some(Measured::new(value)?);
            }
            if self.reads_context {
                let Measured { value, cost } = Measured::new(value)?;
                all.insert(CelMapKey::String(CelString::from(name)), value);
                all_cost += 1 + cost;
            }
        }
        let context: Option<Measured<'s>> = self.reads_context.then(|| Measured {
            value: Box::new(CelMap::from(all)),
            cost: all_cost,
        });
        Ok(Bound {
            slots: self,
            read,
            context,
            entity_id,
            entity_type,
        })
    }
}

/// A value and what using it costs.
struct Measured<'s> {
    value: Box<dyn Val + 's>,
    cost: usize,
}

impl<'s> Measured<'s> {
    fn new<'a: 's>(value: ValueRef<'a>) -> Result<Self, CelMismatch> {
        let mut cost = 0;
        let value = build(value, 0, &mut cost)?;
        Ok(Self { value, cost })
    }
}

/// `value` as CEL has it: numbers are doubles, everything else is what it looks like.
fn build<'a>(
    value: ValueRef<'a>,
    depth: usize,
    cost: &mut usize,
) -> Result<Box<dyn Val + 'a>, CelMismatch> {
    let own_cost = match value {
        ValueRef::String(text) => allowance::of_text(text.len()),
        ValueRef::Map(members) => 1 + members.len(),
        _ => 1,
    };
    if depth > CONTEXT_DEPTH {
        return Err(CelMismatch::TooDeep);
    }
    if !allowance::pay(own_cost) {
        return Err(CelMismatch::TooCostly);
    }
    *cost += own_cost;
    Ok(match value {
        ValueRef::Null => Box::new(CelNull),
        ValueRef::Bool(bool) => Box::new(CelBool::from(bool)),
        ValueRef::Number(number) => Box::new(CelDouble::from(number)),
        ValueRef::String(text) => Box::new(CelString::from(text)),
        ValueRef::List(elements) => {
            let mut list = Vec::new();
            for element in elements {
                list.push(build(borrow(element), depth + 1, cost)?);
            }
            Box::new(CelList::from(list))
        }
        ValueRef::Map(members) => {
            let mut map = HashMap::new();
            for (name, member) in members {
                let key = CelMapKey::String(CelString::from(name.as_str()));
                map.insert(key, build(borrow(member), depth + 1, cost)?);
            }
            Box::new(CelMap::from(map))
        }
    })
}

fn borrow(value: &Value) -> ValueRef<'_> {
    match value {
        Value::Null => ValueRef::Null,
        Value::Bool(bool) => ValueRef::Bool(*bool),
        Value::Number(number) => ValueRef::Number(*number),
        Value::String(text) => ValueRef::String(text),
        Value::List(elements) => ValueRef::List(elements),
        Value::Map(members) => ValueRef::Map(members),
    }
}

/// The values of one run, as the interpreter asks for them.
pub(super) struct Bound<'s> {
    slots: &'s Slots,
    /// By number of the attribute.
    read: Vec<Option<Measured<'s>>>,
    context: Option<Measured<'s>>,
    entity_id: &'s str,
    entity_type: &'s str,
}

impl Bound<'_> {
    fn attribute(&self, number: usize) -> Option<&Measured<'_>> {
        self.read.get(number)?.as_ref()
    }
}

impl VariableResolver for Bound<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let (value, cost): (&'b (dyn Val + 'b), usize) = match self.slots.slot(variable) {
            // a name that CEL gives to a type: an attribute of that name comes first
            None => {
                let measured = self.attribute(*self.slots.attributes.get(variable)?)?;
                (measured.value.as_ref(), measured.cost)
            }
            Some(Slot::Attribute(number)) => {
                let measured = self.attribute(*number)?;
                (measured.value.as_ref(), measured.cost)
            }
            Some(Slot::Context) => {
                let measured = self.context.as_ref()?;
                (measured.value.as_ref(), measured.cost)
            }
            Some(Slot::Constant { value, cost }) => (value.as_ref(), *cost),
            Some(Slot::Presence(number)) => {
                return Some(CowVal::owned(CelBool::from(
                    self.attribute(*number).is_some(),
                )));
            }
            Some(Slot::EntityId) => {
                return pay_for_text(self.entity_id);
            }
            Some(Slot::EntityType) => {
                return pay_for_text(self.entity_type);
            }
        };
        allowance::pay(cost).then_some(CowVal::Borrowed(value))
    }
}

fn pay_for_text(text: &str) -> Option<CowVal<'_, '_>> {
    allowance::pay(allowance::of_text(text.len())).then(|| CowVal::owned(CelString::from(text)))
}
