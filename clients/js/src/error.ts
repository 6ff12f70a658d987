// Why a stream broke or ended.

/** An error, with the answer's status if that was the reason. */
export interface StreamError extends Error {
  status?: number;
  /** How long the server asked to be left alone, in milliseconds. */
  retryAfter?: number;
}

export function streamError(message: string, status?: number, retryAfter?: number): StreamError {
  return Object.assign(new Error(message), { status, retryAfter });
}
