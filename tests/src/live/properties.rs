//! Properties of constraints, and where in the context each is looked up.

use super::json::Json;
use super::random::Random;

/// Where a property is looked up: an attribute, and a path into it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) attribute: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Member(String),
    Item(i64),
}

/// Values that are worth trying at a place.
#[derive(Debug, Clone)]
pub(crate) struct Hint {
    pub(crate) place: Place,
    pub(crate) values: Vec<Json>,
}

/// Text, attribute, path.
const KNOWN: &[(&str, &str, &str)] = &[
    ("p", "p", ""),
    ("country", "country", ""),
    ("x_1", "x_1", ""),
    ("in", "in", ""),
    ("TRUE", "TRUE", ""),
    ("dash-ed-x", "dash-ed-x", ""),
    ("a-1.5", "a-1.5", ""),
    ("@ts", "@ts", ""),
    ("@@x", "@@x", ""),
    ("a-@b", "a-@-b", ""),
    ("5", "5", ""),
    ("1.5", "1.5", ""),
    ("-", "-", ""),
    ("=", "=", ""),
    ("🚩", "🚩", ""),
    ("日本é", "日本é", ""),
    ("\"q\"", "\"q\"", ""),
    ("'a b'", "'a b'", ""),
    ("`a b`", "`a b`", ""),
    (" p ", "p", ""),
    ("p/* c */", "p", ""),
    ("// c\np", "p", ""),
    ("a}{b", "a.b", ""),
    ("u.name", "u", "name"),
    ("a . b", "a", "b"),
    ("u.tags[0]", "u", "tags/0"),
    ("items[0]", "items", "0"),
    ("items[-1]", "items", "-1"),
    ("items[-3]", "items", "-3"),
    ("items[+1]", "items", "1"),
    ("items[00]", "items", "0"),
    ("items[ 1 ]", "items", "1"),
    ("items[- 2]", "items", "-2"),
    ("items[1].a.b", "items", "1/a/b"),
    ("deep.a.b.c[2][0].d", "deep", "a/b/c/2/0/d"),
    ("日.本", "日", "本"),
    // Refused.
    ("a-b.c", "a", "b"),
    ("items[0x1]", "items", "1"),
    ("items[1_0]", "items", "10"),
    ("items[]", "items", "0"),
    ("a..b", "a", "b"),
    ("", "", ""),
];

/// What random properties are made of.
const FRAGMENTS: &[&str] = &[
    "a", "b", "c", "-", "-", "@", ".", ".", "[0]", "[-1]", "[", "]", "\"", "\"s\"", "'", "'c'",
    "`", "/*x*/", "//", "}", "{", " ", "\n", "é", "ß", "5", "1.5", "0x1", "1e3", "_", "=", "🚩",
    "\\", ",", ":", "$", "AND", "\u{a0}", "\u{301}",
];

/// A property, and the places where it may be looked up.
pub(crate) fn property(random: &mut Random) -> (String, Vec<Place>) {
    if random.chance(92) {
        // The plain ones more often.
        let among = if random.chance(40) { 4 } else { KNOWN.len() };
        let (text, attribute, path) = KNOWN[random.index(among)];
        return (text.to_owned(), vec![Place::new(attribute, path)]);
    }
    let text: String = (0..random.between(1, 4))
        .map(|_| random.pick(FRAGMENTS))
        .collect();
    let compact: String = text.split_whitespace().collect();
    let mut places: Vec<_> = [
        text.clone(),
        compact.clone(),
        compact.replace('@', "@-"),
        compact.replace("/*x*/", ""),
        compact.replace("}{", "."),
        compact.replace(['[', ']'], ""),
    ]
    .iter()
    .map(|attribute| Place::new(attribute, ""))
    .collect();
    let path = compact.replace("[0]", ".0").replace("[-1]", ".-1");
    if let Some((attribute, rest)) = path.split_once('.') {
        places.push(Place::new(attribute, &rest.replace('.', "/")));
    }
    (text, places)
}

/// A plain property, for use inside of values.
pub(crate) fn plain(random: &mut Random) -> (String, Place) {
    let (text, attribute, path) = KNOWN[random.index(9)];
    (text.to_owned(), Place::new(attribute, path))
}

impl Place {
    fn new(attribute: &str, path: &str) -> Self {
        Self {
            attribute: attribute.to_owned(),
            steps: path
                .split('/')
                .filter(|step| !step.is_empty())
                .map(|step| match step.parse() {
                    Ok(index) => Step::Item(index),
                    Err(_) => Step::Member(step.to_owned()),
                })
                .collect(),
        }
    }

    /// The attribute's value that has `leaf` at the end of the path, or a
    /// near miss of it.
    pub(crate) fn holding(&self, leaf: Json, random: &mut Random) -> Json {
        self.steps.iter().rev().fold(leaf, |inner, step| {
            if random.chance(3) {
                return inner;
            }
            match step {
                Step::Member(name) => {
                    let name = if random.chance(3) { "other" } else { name };
                    Json::Object(vec![
                        ("first".to_owned(), Json::Bool(true)),
                        (name.to_owned(), inner),
                    ])
                }
                Step::Item(index) => {
                    let wanted = usize::try_from(index.unsigned_abs()).unwrap_or(0);
                    let filler = random.index(3);
                    let mut items = vec![inner.clone(); filler + 1];
                    items[filler] = Json::Null;
                    let at = if *index < 0 {
                        items.splice(0..0, std::iter::repeat_n(Json::Null, wanted));
                        items.len() - wanted
                    } else {
                        items.splice(0..0, std::iter::repeat_n(inner.clone(), wanted));
                        wanted
                    };
                    if random.chance(3) {
                        items.truncate(at);
                    } else if random.chance(3) {
                        return Json::List(Vec::new());
                    } else {
                        items[at] = inner;
                    }
                    Json::List(items)
                }
            }
        })
    }
}
