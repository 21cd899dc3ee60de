import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Ledger, readLedger } from "../../src/privacy/ledger.js";
import { temporaryFolder } from "../support/folder.js";

interface Spent {
  readonly sigma: number;
}

const spent = (sigma: number): Spent => ({ sigma });

async function written(path: string, entries: readonly Spent[]): Promise<void> {
  const ledger = await Ledger.create<Spent>(path);
  for (const entry of entries) await ledger.append(entry);
  await ledger.close();
}

describe("a ledger", () => {
  const entries = [spent(1.5), spent(1.25e-9), spent(2)];

  it("gives back what was added, also over several openings", async () => {
    const path = join(temporaryFolder(), "ledger");
    await written(path, entries);
    expect(await readLedger(path)).toEqual(entries);
    const again = await Ledger.open<Spent>(path);
    expect(again.entries).toEqual(entries);
    await again.ledger.append(spent(3));
    await again.ledger.close();
    expect(await readLedger(path)).toEqual([...entries, spent(3)]);
  });

  it("holds the entry when the promise is fulfilled, in the order of the calls", async () => {
    const path = join(temporaryFolder(), "ledger");
    const ledger = await Ledger.create<Spent>(path);
    const many = Array.from({ length: 20 }, (_, step) => spent(step));
    const promises = many.map((entry) => ledger.append(entry));
    await promises[4];
    expect((await readLedger(path)).slice(0, 5)).toEqual(many.slice(0, 5));
    await Promise.all(promises);
    expect(await readLedger(path)).toEqual(many);
    await ledger.close();
  });

  it("cut off anywhere loses the entries that were not whole, and goes on behind the others", async () => {
    const path = join(temporaryFolder(), "ledger");
    await written(path, entries);
    const whole = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length }), async (length) => {
        writeFileSync(path, whole.subarray(0, length));
        const lines = whole.subarray(0, length).toString().split("\n").length - 1;
        const kept = entries.slice(0, Math.max(0, lines - 1));
        expect(await readLedger(path)).toEqual(kept);
        const { ledger } = await Ledger.open<Spent>(path);
        await ledger.append(spent(9));
        await ledger.close();
        expect(await readLedger(path)).toEqual([...kept, spent(9)]);
      }),
    );
  });

  it("with a changed byte before its last line end is refused: what was spent is not known", async () => {
    const path = join(temporaryFolder(), "ledger");
    await written(path, entries);
    const whole = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 2), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] as number) ^ change;
        writeFileSync(path, bytes);
        await expect(readLedger(path)).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
      }),
    );
  });

  it("is not begun where there is one", async () => {
    const path = join(temporaryFolder(), "ledger");
    await written(path, entries);
    await expect(Ledger.create(path)).rejects.toThrow("a run is recorded there already");
    expect(await readLedger(path)).toEqual(entries);
  });

  it("says what is not a ledger, and what is of another version", async () => {
    const path = join(temporaryFolder(), "ledger");
    await expect(readLedger(path)).rejects.toThrow("does not exist");
    writeFileSync(path, "hello\n");
    await expect(readLedger(path)).rejects.toThrow("line 1 is damaged");
    await expect(Ledger.create(join(path, "below"))).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
  });

  it("that cannot be written takes nothing more", async () => {
    const path = join(temporaryFolder(), "ledger");
    const ledger = await Ledger.create<Spent>(path);
    await ledger.close();
    await expect(ledger.append(spent(1))).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
    await expect(ledger.append(spent(1))).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
    expect(await readLedger(path)).toEqual([]);
  });
});
