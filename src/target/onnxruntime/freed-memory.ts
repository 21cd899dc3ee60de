/**
 * Lets the allocator keep the memory of results that are no longer needed for the next results. A run returns arrays of
 * megabytes; if freed memory goes back to the system, the next run waits while the system clears and maps it page by
 * page, which takes longer than writing the results. glibc gives freed memory back where it ends in more than twice the
 * largest block, of up to 32 MiB, that was mapped and freed before (mallopt(3), M_MMAP_THRESHOLD). So a block of nearly
 * this size is made and freed once, untouched. Then up to 64 MiB are kept. Other allocators do not mind.
 */
import { Discarded } from "../../tensor/discarded.js";

const size = 2 ** 25 - 2 ** 13;

new Discarded().add([{ dtype: "uint8", dims: [size], data: new Uint8Array(size) }]);
