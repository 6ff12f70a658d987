// Commands that people take to their terminal: quoting them, and copying them.
// Knows nothing of what they do.

// One word for a POSIX shell, whatever it contains.
export function quote(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

// Copies what the source shows, and says so on the button.
export async function copy(button, source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
  } catch {
    // Not allowed outside https and localhost: then it is at least selected.
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}
