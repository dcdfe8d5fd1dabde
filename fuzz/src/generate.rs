//! Mutations of inputs, the same for the same seed.

/// A generator of inputs: SplitMix64, and what a fuzzer without coverage does.
#[derive(Debug, Clone)]
pub struct Generator(u64);

/// The longest input that is made.
const LONGEST: usize = 16 << 10;

impl Generator {
    /// A generator of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end.max(1) as u64;
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// A range within so many bytes, mostly a short one.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 16 };
        let end = start + self.below((length - start).min(most) + 1);
        start..end
    }

    /// A mutation of one of the inputs.
    pub fn mutated(&mut self, inputs: &[Vec<u8>], tokens: &[&str]) -> Vec<u8> {
        let mut input = self.pick(inputs).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.mutate(&mut input, inputs, tokens);
        }
        input.truncate(LONGEST);
        input
    }

    fn mutate(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>], tokens: &[&str]) {
        let range = self.range(input.len());
        match self.below(8) {
            0 => {
                input.drain(range);
            }
            1 => {
                let random = u8::try_from(self.below(256)).unwrap_or(0);
                input.splice(range, [random]);
            }
            2 => {
                if let Some(byte) = input.get_mut(range.start) {
                    *byte ^= 1 << self.below(8);
                }
            }
            3 => {
                let part = input.get(range.clone()).unwrap_or_default();
                let repeated = part.repeat(1 + self.below(8));
                input.splice(range, repeated);
            }
            4 => {
                let other = self.pick(inputs).map_or(&[][..], Vec::as_slice);
                let part = other.get(self.range(other.len())).unwrap_or_default();
                input.splice(range, part.to_vec());
            }
            _ => {
                let token = self.pick(tokens).copied().unwrap_or_default();
                input.splice(range.start..range.start, token.bytes());
            }
        }
    }
}
