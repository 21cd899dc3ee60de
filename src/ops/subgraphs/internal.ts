/** The domain of operators that pergrad has of its own: no file names them, and none holds them. */
export const internalDomain = "pergrad";
