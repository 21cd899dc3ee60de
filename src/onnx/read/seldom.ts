/** What few files need to be read: functions, loops, a batch that the file fixes. */
export * from "./seldom-needed.js";
