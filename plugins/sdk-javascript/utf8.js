/** UTF-8: QuickJS, which a component runs, has no TextDecoder and no TextEncoder. */

/** The text of bytes; they are valid UTF-8, as all text of the host's is. */
export function decodeText(bytes, from, to) {
  let text = "";
  let at = from;
  while (at < to) {
    let end = at;
    // As many as may be arguments of a call.
    const most = Math.min(to, at + 4096);
    while (end < most && bytes[end] < 0x80) end++;
    if (end > at) {
      text += String.fromCharCode.apply(null, bytes.subarray(at, end));
      at = end;
      continue;
    }
    const more = bytes[at] < 0xe0 ? 1 : bytes[at] < 0xf0 ? 2 : 3;
    let code = bytes[at] & (0x3f >> more);
    for (let i = 1; i <= more; i++) code = (code << 6) | (bytes[at + i] & 0x3f);
    text += String.fromCodePoint(code);
    at += more + 1;
  }
  return text;
}

/** All of these bytes as a text if they are ASCII, so that each text of a column is a part of it; else null. */
export function asciiText(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode.apply(null, bytes.subarray(at, at + 4096));
  return /[^\x00-\x7f]/.test(text) ? null : text;
}

/** Writes a text's bytes, three a character at most, and answers with where they end; half of a surrogate pair becomes U+FFFD. */
export function encodeInto(text, bytes, start) {
  let at = start;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      bytes[at++] = code;
      continue;
    }
    if (code >= 0xd800 && code < 0xe000) {
      const whole = text.codePointAt(i);
      if (whole > 0xffff) i++;
      code = whole > 0xffff ? whole : 0xfffd;
    }
    if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
    } else {
      if (code < 0x10000) {
        bytes[at++] = 0xe0 | (code >> 12);
      } else {
        bytes[at++] = 0xf0 | (code >> 18);
        bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
      }
      bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
    }
    bytes[at++] = 0x80 | (code & 0x3f);
  }
  return at;
}
