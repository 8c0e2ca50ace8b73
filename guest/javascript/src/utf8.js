// QuickJS has no TextEncoder of its own.

export function encodeUtf8(text) {
  if (globalThis.TextEncoder) {
    return new TextEncoder().encode(text);
  }
  // Each escape of the encoded text is one byte.
  const encoded = encodeURIComponent(text.toWellFormed());
  const bytes = new Uint8Array(encoded.length);
  let length = 0;
  for (let at = 0; at < encoded.length; at += 1) {
    const code = encoded.charCodeAt(at);
    if (code === 0x25) {
      bytes[length] = Number.parseInt(encoded.slice(at + 1, at + 3), 16);
      at += 2;
    } else {
      bytes[length] = code;
    }
    length += 1;
  }
  return bytes.subarray(0, length);
}

export function decodeUtf8(bytes) {
  if (globalThis.TextDecoder) {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  }
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at];
    const more = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    let code = more === 0 ? first : first & (0x3f >> more);
    for (let index = 1; index <= more; index += 1) {
      const next = bytes[at + index];
      if (next === undefined || (next & 0xc0) !== 0x80) {
        throw new SyntaxError(`the text is not UTF-8 (byte ${at})`);
      }
      code = (code << 6) | (next & 0x3f);
    }
    if (first >= 0x80 && first < 0xc2) {
      throw new SyntaxError(`the text is not UTF-8 (byte ${at})`);
    }
    text += String.fromCodePoint(code);
    at += more + 1;
  }
  return text;
}
