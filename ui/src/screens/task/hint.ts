// Opens the task's hint dialog with words in it, from any tab.
export const askHint = (text: string): void => void window.dispatchEvent(new CustomEvent('nightmill-hint', { detail: text }));
