/** What windows leave unread. */
export { withoutUnread } from "./unread.js";
