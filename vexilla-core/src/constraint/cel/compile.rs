//! From the parser's tree to the one that is run.
//!
//! On the way down, unknown functions and unsupported forms are refused, variables become slots,
//! arithmetic becomes ours, constant lists and patterns are built once, and whatever can multiply
//! the cost of a run is made to pay (see [`super::allowance`]).

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo,
};
use cel::common::types::CelList;
use cel::common::value::Val;
use cel::parser::Parser;

use super::super::pattern::Patterns;
use super::error::{Fault, Position};
use super::pattern::Pattern;
use super::slots::Slots;
use super::{allowance, functions, scan};

/// Deepest tree that may be run: running recurses, on the stack of whoever asks for a flag, and each
/// operation takes up to 40 KiB of it in a debug build.
const DEPTH: usize = 24;
/// Deepest nesting of comprehensions in each other's bodies.
const COMPREHENSIONS: usize = 2;
/// Most calls of `matches` in an expression.
const PATTERNS: usize = 16;
/// What CEL calls its types; as variables they stay as they are, so that `type(x) == string` works.
const TYPES: [&str; 10] = [
    "bool",
    "bytes",
    "double",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "uint",
];

/// An expression that is ready to run.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) expression: IdedExpr,
    pub(super) slots: Slots,
    /// What each run costs, apart from comprehensions and the sizes of values.
    pub(super) cost: usize,
}

/// Parses `source` and prepares it. Uses a lot of stack: see [`super::STACK`].
pub(super) fn compile(source: &str, patterns: &mut Patterns<'_>) -> Result<Compiled, Fault> {
    scan::check(source)?;
    let (parsed, places) = Parser::new()
        .parse_with_source_info(source)
        .map_err(|errors| {
            errors.errors.into_iter().next().map_or_else(
                || {
                    Fault::new(
                        Position::START,
                        "the expression cannot be parsed".to_owned(),
                    )
                },
                |first| Fault::new(Position::of_parser(first.pos), sentence(&first.msg)),
            )
        })?;
    let mut compiler = Compiler {
        slots: Slots::default(),
        variables: Vec::new(),
        comprehensions: 0,
        matches: 0,
        patterns,
    };
    match compiler.expression(parsed, 1) {
        Ok(expression) => Ok(Compiled {
            cost: cost(&expression),
            expression,
            slots: compiler.slots,
        }),
        Err(Refusal { id, message }) => Err(Fault::new(place(source, &places, id), message)),
    }
}

/// The parser's message in our form: lower case at the front, and without what
/// it quotes of the expression.
fn sentence(message: &str) -> String {
    let message = message.split([':', '\'', '"']).next().unwrap_or_default();
    let mut characters = message.trim().chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

fn place(source: &str, places: &SourceInfo, id: u64) -> Position {
    let character = places
        .offset_for(id)
        .and_then(|(start, _)| usize::try_from(start).ok());
    let offset = character.and_then(|character| source.char_indices().nth(character));
    offset.map_or(Position::START, |(offset, _)| Position::at(source, offset))
}

/// What is wrong, and with which node of the parser's tree.
struct Refusal {
    id: u64,
    message: String,
}

struct Compiler<'p, 'm> {
    slots: Slots,
    /// The variables of the comprehensions around, innermost last.
    variables: Vec<String>,
    comprehensions: usize,
    /// How many calls of `matches` there are.
    matches: usize,
    patterns: &'p mut Patterns<'m>,
}

impl Compiler<'_, '_> {
    fn expression(&mut self, node: IdedExpr, depth: usize) -> Result<IdedExpr, Refusal> {
        let IdedExpr { id, expr } = node;
        let refuse = |message: String| Err(Refusal { id, message });
        if depth > DEPTH {
            return refuse(format!(
                "the expression is more than {DEPTH} operations deep here"
            ));
        }
        let expr = match expr {
            Expr::Literal(_) => expr,
            Expr::Ident(name) => return self.identifier(id, name),
            Expr::Select(mut select) => {
                if self.is_context(&select.operand.expr) {
                    Expr::Ident(if select.test {
                        self.slots.presence(&select.field)
                    } else {
                        self.slots.attribute(&select.field)
                    })
                } else if self.is_member_of_variable(&select.operand.expr) {
                    // finding a member costs nothing, only what is found is used
                    let is_test = select.test;
                    let member = IdedExpr {
                        id,
                        expr: Expr::Select(select),
                    };
                    return Ok(if is_test { member } else { used(member) });
                } else {
                    *select.operand = self.expression(*select.operand, depth + 1)?;
                    Expr::Select(select)
                }
            }
            Expr::Call(call) => return self.call(id, call, depth),
            Expr::List(mut list) => {
                if let Some(constant) = constant_list(&list.elements) {
                    Expr::Ident(self.slots.constant(constant))
                } else {
                    list.elements = self.all(list.elements, depth + 1)?;
                    Expr::List(list)
                }
            }
            Expr::Map(mut map) => {
                for entry in &mut map.entries {
                    let EntryExpr::MapEntry(member) = &mut entry.expr else {
                        return refuse("message fields are not supported".to_owned());
                    };
                    member.key = self.expression(std::mem::take(&mut member.key), depth + 1)?;
                    member.value = self.expression(std::mem::take(&mut member.value), depth + 1)?;
                }
                Expr::Map(map)
            }
            Expr::Comprehension(comprehension) => {
                return self.comprehension(id, *comprehension, depth);
            }
            Expr::Struct(message) => {
                return refuse(format!("there is no message type {:?}", message.type_name));
            }
            Expr::Unspecified => return refuse("the expression cannot be parsed".to_owned()),
        };
        Ok(IdedExpr { id, expr })
    }

    fn all(&mut self, nodes: Vec<IdedExpr>, depth: usize) -> Result<Vec<IdedExpr>, Refusal> {
        nodes
            .into_iter()
            .map(|node| self.expression(node, depth))
            .collect()
    }

    fn is_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| variable == name)
    }

    fn is_context(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Ident(name) if name == "ctx" && !self.is_variable(name))
    }

    /// Whether `expr` is a comprehension's variable or, at any depth, a member of one.
    fn is_member_of_variable(&self, mut expr: &Expr) -> bool {
        while let Expr::Select(select) = expr {
            expr = &select.operand.expr;
        }
        matches!(expr, Expr::Ident(name) if self.is_variable(name))
    }

    fn identifier(&mut self, id: u64, name: String) -> Result<IdedExpr, Refusal> {
        let expr = match name.as_str() {
            // a comprehension's result so far
            _ if name.starts_with('@') => Expr::Ident(name),
            _ if name.starts_with('.') => {
                let message = format!("leave out the dot at the front of {name:?}");
                return Err(Refusal { id, message });
            }
            _ if self.is_variable(&name) => {
                return Ok(used(IdedExpr {
                    id,
                    expr: Expr::Ident(name),
                }));
            }
            "ctx" => Expr::Ident(self.slots.context()),
            "entity_id" => Expr::Ident(self.slots.entity_id()),
            "entity_type" => Expr::Ident(self.slots.entity_type()),
            "type" => {
                self.slots.number(&name);
                Expr::Ident(name)
            }
            _ if TYPES.contains(&name.as_str()) => {
                self.slots.number(&name);
                Expr::Ident(name)
            }
            _ => Expr::Ident(self.slots.attribute(&name)),
        };
        Ok(IdedExpr { id, expr })
    }

    fn call(&mut self, id: u64, mut node: CallExpr, depth: usize) -> Result<IdedExpr, Refusal> {
        if node.func_name == "matches" {
            return self.matches(id, node, depth);
        }
        if let Some(key) = self.context_key(&node) {
            let expr = Expr::Ident(self.slots.attribute(&key));
            return Ok(IdedExpr { id, expr });
        }
        let is_operator = !node
            .func_name
            .starts_with(|first: char| first.is_ascii_alphabetic());
        let name = node.func_name.as_str();
        let known: &[(&str, usize)] = if node.target.is_some() {
            &functions::MEMBER
        } else {
            &functions::GLOBAL
        };
        let known = known.iter().find(|(known, _)| *known == name);
        match known {
            _ if is_operator => {}
            Some((_, arguments)) if *arguments == node.args.len() => {}
            Some((_, arguments)) => {
                let found = node.args.len();
                let message = format!("{name} takes {arguments} arguments here, found {found}");
                return Err(Refusal { id, message });
            }
            None => {
                let message = if name == "has" {
                    "has() takes a member, as in has(ctx.plan)".to_owned()
                } else {
                    format!("there is no function {name} that is called like this")
                };
                return Err(Refusal { id, message });
            }
        }
        // what a comprehension adds to its own result stays as the interpreter knows it
        let is_accumulation = matches!(
            node.args.first().map(|first| &first.expr),
            Some(Expr::Ident(name)) if name.starts_with('@')
        );
        if let Some((_, ours)) = functions::ARITHMETIC
            .iter()
            .find(|(operator, _)| *operator == name && !is_accumulation)
        {
            node.func_name = (*ours).to_owned();
        }
        if let Some(target) = node.target.as_mut() {
            **target = self.expression(std::mem::take(&mut **target), depth + 1)?;
        }
        node.args = if is_accumulation {
            let args = node.args.into_iter();
            args.map(|added| self.added(added, depth + 1))
                .collect::<Result<_, _>>()?
        } else {
            self.all(node.args, depth + 1)?
        };
        Ok(IdedExpr {
            id,
            expr: Expr::Call(node),
        })
    }

    /// What a comprehension adds to its result. The interpreter appends a list in
    /// place only where it is written out: any other is added by copying all that
    /// there is, so that a comprehension would take the square of its length.
    fn added(&mut self, node: IdedExpr, depth: usize) -> Result<IdedExpr, Refusal> {
        match node.expr {
            Expr::List(mut list) => {
                list.elements = self.all(list.elements, depth + 1)?;
                Ok(IdedExpr {
                    id: node.id,
                    expr: Expr::List(list),
                })
            }
            _ => self.expression(node, depth),
        }
    }

    /// The name of the attribute in `ctx["name"]`.
    fn context_key(&self, node: &CallExpr) -> Option<String> {
        match node.args.as_slice() {
            [
                context,
                IdedExpr {
                    expr: Expr::Literal(LiteralValue::String(name)),
                    ..
                },
            ] if node.func_name == "_[_]" && self.is_context(&context.expr) => {
                Some(name.inner().to_owned())
            }
            _ => None,
        }
    }

    /// `text.matches("pattern")` or `matches(text, "pattern")`, whose pattern is compiled now.
    fn matches(&mut self, id: u64, node: CallExpr, depth: usize) -> Result<IdedExpr, Refusal> {
        let refuse = |message: String| Err(Refusal { id, message });
        let mut operands = node
            .target
            .map(|target| *target)
            .into_iter()
            .chain(node.args);
        let (Some(text), Some(pattern), None) = (operands.next(), operands.next(), operands.next())
        else {
            return refuse("matches takes a string and a pattern".to_owned());
        };
        let Expr::Literal(LiteralValue::String(pattern)) = pattern.expr else {
            return refuse("the pattern of matches must be written out as a string".to_owned());
        };
        self.matches += 1;
        if self.matches > PATTERNS {
            return refuse(format!(
                "more than {PATTERNS} uses of matches, join their patterns with |"
            ));
        }
        let pattern = match self.patterns.cel(pattern.inner()).map(Pattern::new) {
            Ok(pattern) => pattern,
            Err(message) => return refuse(message),
        };
        let text = self.expression(text, depth + 1)?;
        let pattern = Expr::Ident(self.slots.constant(Box::new(pattern)));
        let expr = call(
            functions::MATCHES,
            vec![text, IdedExpr { id, expr: pattern }],
        );
        Ok(IdedExpr { id, expr })
    }

    fn comprehension(
        &mut self,
        id: u64,
        mut node: ComprehensionExpr,
        depth: usize,
    ) -> Result<IdedExpr, Refusal> {
        if self.comprehensions == COMPREHENSIONS {
            let message = format!("comprehensions are nested more than {COMPREHENSIONS} deep here");
            return Err(Refusal { id, message });
        }
        // the comprehension and its step are an operation each, and so is paying for the rounds
        let depth = depth + 2;
        let range = self.expression(node.iter_range, depth)?;
        let outer = self.variables.len();
        self.variables.push(node.iter_var.clone());
        self.variables.extend(node.iter_var2.clone());
        self.comprehensions += 1;
        node.accu_init = self.expression(node.accu_init, depth)?;
        node.loop_cond = self.expression(node.loop_cond, depth)?;
        node.loop_step = self.expression(node.loop_step, depth)?;
        node.result = self.expression(node.result, depth)?;
        self.comprehensions -= 1;
        self.variables.truncate(outer);
        let cost = cost(&node.loop_cond).saturating_add(cost(&node.loop_step));
        let cost = LiteralValue::Int(i64::try_from(cost).unwrap_or(i64::MAX).into());
        let cost = IdedExpr {
            id,
            expr: Expr::Literal(cost),
        };
        node.iter_range = IdedExpr {
            id,
            expr: call(functions::ROUNDS, vec![range, cost]),
        };
        Ok(IdedExpr {
            id,
            expr: Expr::Comprehension(Box::new(node)),
        })
    }
}

fn call(function: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr {
        func_name: function.to_owned(),
        target: None,
        args,
    })
}

/// `value`, paid for.
fn used(value: IdedExpr) -> IdedExpr {
    IdedExpr {
        id: value.id,
        expr: call(functions::USE, vec![value]),
    }
}

/// The list, when all of its elements are literals and there is one at least.
fn constant_list(elements: &[IdedExpr]) -> Option<Box<dyn Val>> {
    let constant = |element: &IdedExpr| -> Option<Box<dyn Val>> {
        match &element.expr {
            Expr::Literal(literal) => Some(literal.to_val().into_owned()),
            _ => None,
        }
    };
    let values = elements.iter().map(constant).collect::<Option<Vec<_>>>()?;
    (!values.is_empty()).then(|| -> Box<dyn Val> { Box::new(CelList::from(values)) })
}

/// What running `node` once costs, apart from the comprehensions in it and the sizes of values,
/// which pay for themselves.
fn cost(node: &IdedExpr) -> usize {
    let all = |nodes: &[IdedExpr]| nodes.iter().map(cost).sum::<usize>();
    1 + match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => allowance::of_text(text.inner().len()),
        Expr::Literal(LiteralValue::Bytes(bytes)) => allowance::of_text(bytes.inner().len()),
        Expr::Select(select) => cost(&select.operand),
        Expr::Call(call) => call.target.as_deref().map_or(0, cost) + all(&call.args),
        Expr::List(list) => all(&list.elements),
        Expr::Map(map) => map
            .entries
            .iter()
            .map(|entry| match &entry.expr {
                EntryExpr::MapEntry(member) => cost(&member.key) + cost(&member.value),
                EntryExpr::StructField(field) => cost(&field.value),
            })
            .sum(),
        Expr::Comprehension(inner) => cost(&inner.iter_range),
        Expr::Literal(_) | Expr::Ident(_) | Expr::Struct(_) | Expr::Unspecified => 0,
    }
}
