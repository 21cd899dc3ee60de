/** The code that only few files need to be read: functions, loops, and batch sizes fixed by the file. */
export * from "./seldom-needed.js";
