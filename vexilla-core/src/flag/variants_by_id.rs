//! Finds the variants of a flag by their ids.

use std::collections::HashMap;

use super::Variant;

/// Up to so many variants, a walk beats hashing.
const FEW: usize = 8;

/// Finds variants by id in constant time, however many there are.
pub(crate) struct VariantsById<'a> {
    variants: &'a [Variant],
    /// Where each id stands last, if there are many.
    positions: Option<HashMap<u64, usize>>,
}

impl<'a> VariantsById<'a> {
    pub(crate) fn new(variants: &'a [Variant]) -> Self {
        let positions = (variants.len() > FEW).then(|| {
            let ids = variants.iter().enumerate();
            ids.map(|(at, variant)| (variant.id, at)).collect()
        });
        Self {
            variants,
            positions,
        }
    }

    /// Where the variant of this id stands. Of two with one id, the later
    /// counts, as in Flagr.
    pub(crate) fn position(&self, id: u64) -> Option<usize> {
        match &self.positions {
            Some(positions) => positions.get(&id).copied(),
            None => self.variants.iter().rposition(|variant| variant.id == id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_with_one_id_counts() {
        for count in [2, FEW, FEW + 1, 100] {
            let mut variants: Vec<_> = (1..=count as u64)
                .map(|id| Variant::new("v").id(id))
                .collect();
            variants[count - 1].id = 1;
            let by_id = VariantsById::new(&variants);
            assert_eq!(by_id.position(1), Some(count - 1));
            assert_eq!(by_id.position(count as u64), None);
            assert_eq!(by_id.position(2), (count > 2).then_some(1));
        }
    }
}
