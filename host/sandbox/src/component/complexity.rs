use wasmparser::{ElementItems, Parser, Payload};

/// The most globals, functions and elements of a component, over all of its modules. Each instance of a module has them on
/// the host's side, where the limit of memory does not see them.
const MAX_PARTS: u64 = 500_000;

/// Refuses a component whose instances would take much on the host's side. Says nothing of what is no WebAssembly: the
/// compiler does.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut parts = 0_u64;
    for payload in Parser::new(0).parse_all(bytes) {
        let more = match payload {
            Ok(Payload::GlobalSection(globals)) => u64::from(globals.count()),
            Ok(Payload::FunctionSection(functions)) => u64::from(functions.count()),
            Ok(Payload::ElementSection(elements)) => {
                let lengths = elements.into_iter().flatten().map(|element| match element.items {
                    ElementItems::Functions(items) => u64::from(items.count()),
                    ElementItems::Expressions(_, items) => u64::from(items.count()),
                });
                lengths.sum()
            }
            Ok(_) => 0,
            Err(_) => return Ok(()),
        };
        parts = parts.saturating_add(more);
    }
    match parts > MAX_PARTS {
        true => Err(format!(
            "it has {parts} globals, functions and elements; {MAX_PARTS} are allowed"
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component of one module with so many globals, by hand.
    fn globals(count: u32) -> Vec<u8> {
        let number = |mut number: usize| {
            let mut bytes = vec![];
            while number > 0x7f {
                bytes.push(number as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
            bytes
        };
        let section = |id: u8, content: Vec<u8>| [vec![id], number(content.len()), content].concat();
        // i32, constant: i32.const 1, end.
        let all = [0x7f, 0, 0x41, 1, 0x0b].repeat(count as usize);
        let module = [
            b"\0asm\x01\0\0\0".to_vec(),
            section(6, [number(count as usize), all].concat()),
        ];
        [b"\0asm\x0d\0\x01\0".to_vec(), section(1, module.concat())].concat()
    }

    #[test]
    fn parts_are_counted_before_anything_is_compiled() {
        assert_eq!(check(&globals(MAX_PARTS as u32)), Ok(()));
        let error = check(&globals(MAX_PARTS as u32 + 1)).unwrap_err();
        assert_eq!(
            error,
            "it has 500001 globals, functions and elements; 500000 are allowed"
        );
        assert_eq!(check(b"no WebAssembly"), Ok(()));
    }
}
