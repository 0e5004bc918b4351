// Arrays as text: float64, little-endian, in base64, so that no bit is lost.

const toBase64 = array => {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
};
const fromBase64 = text => {
  const bytes = Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0));
  return new Float64Array(bytes.buffer);
};
for (const name of ["thetas", "biases"]) DATA[name] = DATA[name].map(fromBase64);
for (const name of ["x", "y"]) DATA[name] = fromBase64(DATA[name]);
