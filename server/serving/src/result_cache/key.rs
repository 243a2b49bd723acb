//! What a request asks, as 256 bits.
//!
//! The key is SHA-256 over everything that the answer depends on: a secret of this process, the version (which one of
//! all that were loaded, and its file), which outputs are wanted, and of each input its datatype, shape and exact bytes,
//! every length before what it measures, so that no two requests are written alike. Nobody has ever found two texts with one
//! SHA-256, and who tried could not even compute one without the secret; so the inputs themselves need not be
//! kept beside the answer to compare them. Names are those of the version's signature, in its order.

use std::hash::{BuildHasher as _, RandomState};

use candor_domain::{Tensor, TensorData};
use sha2::{Digest as _, Sha256};

/// What a request asks of which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// A number that is spread evenly.
    pub(super) fn place(self) -> usize {
        let [first, ..] = self.0;
        usize::from(first)
    }
}

/// The keys of one version: what all of them begin with has been read.
pub(super) struct Keys(Sha256);

/// Elements that are written as bytes at once.
const CHUNK: usize = 512;

impl Keys {
    pub(super) fn new(generation: u64, sha256: &str) -> Self {
        let secret = RandomState::new();
        let mut begun = Sha256::new();
        for word in [0_u8, 1] {
            begun.update(secret.hash_one(word).to_le_bytes());
        }
        begun.update(generation.to_le_bytes());
        write_bytes(&mut begun, sha256.as_bytes());
        Self(begun)
    }

    /// The key of a request.
    pub(super) fn of(&self, inputs: &[Tensor], wanted: &[usize]) -> Key {
        let mut hash = self.0.clone();
        write_length(&mut hash, wanted.len());
        wanted.iter().for_each(|output| write_length(&mut hash, *output));
        write_length(&mut hash, inputs.len());
        inputs.iter().for_each(|tensor| write_tensor(&mut hash, tensor));
        Key(hash.finalize().into())
    }
}

fn write_length(hash: &mut Sha256, length: usize) {
    hash.update((length as u64).to_le_bytes());
}

fn write_bytes(hash: &mut Sha256, bytes: &[u8]) {
    write_length(hash, bytes.len());
    hash.update(bytes);
}

fn write_tensor(hash: &mut Sha256, tensor: &Tensor) {
    write_bytes(hash, tensor.datatype().name().as_bytes());
    write_length(hash, tensor.shape().rank());
    tensor.shape().dims().iter().for_each(|dim| hash.update(dim.to_le_bytes()));
    write_length(hash, tensor.data().len());
    macro_rules! numbers {
        ($list:expr, $bytes:literal) => {{
            let mut buffer = [0_u8; CHUNK * $bytes];
            for chunk in $list.chunks(CHUNK) {
                for (place, number) in buffer.as_chunks_mut::<$bytes>().0.iter_mut().zip(chunk) {
                    *place = number.to_le_bytes();
                }
                hash.update(buffer.get(..chunk.len() * $bytes).unwrap_or_default());
            }
        }};
    }
    match tensor.data() {
        TensorData::Bool(list) | TensorData::Uint8(list) => hash.update(list),
        TensorData::Int8(list) => numbers!(list, 1),
        TensorData::Uint16(list) | TensorData::Fp16(list) | TensorData::Bf16(list) => numbers!(list, 2),
        TensorData::Int16(list) => numbers!(list, 2),
        TensorData::Uint32(list) => numbers!(list, 4),
        TensorData::Int32(list) => numbers!(list, 4),
        TensorData::Fp32(list) => numbers!(list, 4),
        TensorData::Uint64(list) => numbers!(list, 8),
        TensorData::Int64(list) => numbers!(list, 8),
        TensorData::Fp64(list) => numbers!(list, 8),
        TensorData::Bytes(list) => list.iter().for_each(|element| write_bytes(hash, element)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use candor_domain::Shape;
    use proptest::prelude::*;

    use super::*;

    fn tensor(dims: &[i64], data: TensorData) -> Tensor {
        Tensor::new(Shape::new(dims).unwrap(), data).unwrap()
    }

    fn strings(list: &[&str]) -> Tensor {
        tensor(&[list.len() as i64], TensorData::Bytes(list.iter().collect()))
    }

    #[test]
    fn whatever_differs_makes_another_key() {
        let keys = Keys::new(1, "aa");
        let floats = |dims: &[i64], values: &[f32]| tensor(dims, TensorData::Fp32(values.to_vec()));
        let asked: Vec<(Vec<Tensor>, Vec<usize>)> = vec![
            (vec![], vec![]),
            (vec![], vec![0]),
            (vec![], vec![0, 1]),
            (vec![], vec![1, 0]),
            (vec![floats(&[2], &[0.0, 1.0])], vec![0]),
            (vec![floats(&[2], &[-0.0, 1.0])], vec![0]),
            (vec![floats(&[2], &[f32::NAN, 1.0])], vec![0]),
            (vec![floats(&[2], &[f32::from_bits(f32::NAN.to_bits() + 1), 1.0])], vec![0]),
            (vec![floats(&[1, 2], &[0.0, 1.0])], vec![0]),
            (vec![floats(&[2, 1], &[0.0, 1.0])], vec![0]),
            (vec![floats(&[1], &[0.0]), floats(&[1], &[1.0])], vec![0]),
            (vec![floats(&[1], &[1.0]), floats(&[1], &[0.0])], vec![0]),
            (vec![tensor(&[2], TensorData::Int32(vec![0, 1]))], vec![0]),
            (vec![tensor(&[2], TensorData::Uint32(vec![0, 1]))], vec![0]),
            (vec![tensor(&[1], TensorData::Uint16(vec![7]))], vec![0]),
            (vec![tensor(&[1], TensorData::Fp16(vec![7]))], vec![0]),
            (vec![tensor(&[1], TensorData::Bf16(vec![7]))], vec![0]),
            (vec![tensor(&[1], TensorData::Bool(vec![1]))], vec![0]),
            (vec![tensor(&[1], TensorData::Uint8(vec![1]))], vec![0]),
            (vec![strings(&["ab", "c"])], vec![0]),
            (vec![strings(&["a", "bc"])], vec![0]),
            (vec![strings(&["abc"])], vec![0]),
        ];
        let all: HashSet<Key> = asked.iter().map(|(inputs, wanted)| keys.of(inputs, wanted)).collect();
        assert_eq!(all.len(), asked.len());
        let again: HashSet<Key> = asked.iter().map(|(inputs, wanted)| keys.of(inputs, wanted)).collect();
        assert_eq!(all, again);
    }

    #[test]
    fn versions_have_keys_of_their_own() {
        let input = [tensor(&[1], TensorData::Fp32(vec![1.0]))];
        let one = Keys::new(1, "aa").of(&input, &[0]);
        assert_ne!(one, Keys::new(2, "aa").of(&input, &[0]), "the same file, loaded again");
        assert_ne!(one, Keys::new(1, "ab").of(&input, &[0]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn all_elements_count_wherever_they_stand(
            values in proptest::collection::vec(any::<f64>(), 1..2000),
            at in any::<prop::sample::Index>(),
        ) {
            let keys = Keys::new(1, "aa");
            let key = |values: &[f64]| keys.of(&[tensor(&[values.len() as i64], TensorData::Fp64(values.to_vec()))], &[0]);
            let mut other = values.clone();
            let at = at.index(values.len());
            other[at] = f64::from_bits(other[at].to_bits() ^ 1);
            prop_assert_eq!(key(&values), key(&values.clone()));
            prop_assert_ne!(key(&values), key(&other));
        }
    }
}
