/** Kinds of pictures, and what else lies in folders of pictures. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { packImages } from "../../src/data/index.js";
import { temporaryFolder } from "../support/folder.js";

const red = { r: 200, g: 20, b: 30 };

/** Files in the folders of their classes, which are made. */
async function folderOf(files: Readonly<Record<string, Buffer | string>>): Promise<string> {
  const path = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, ".."), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

function png(background: { r: number; g: number; b: number; alpha?: number } = red): Promise<Buffer> {
  const channels = background.alpha === undefined ? 3 : 4;
  return sharp({ create: { width: 2, height: 2, channels, background } })
    .png()
    .toBuffer();
}

/** One pixel, in the fields that TIFF 6.0 requires: [tag, type, value], short 3 or long 4. */
function tiffOfFloat(value: number): Buffer {
  const fields = [
    [256, 3, 1],
    [257, 3, 1],
    [258, 3, 32],
    [259, 3, 1],
    [262, 3, 1],
    [273, 4, 8],
    [277, 3, 1],
    [278, 3, 1],
    [279, 4, 4],
    [339, 3, 3],
  ] as const;
  const file = Buffer.alloc(12 + 2 + 12 * fields.length + 4);
  file.write("II*\0");
  file.writeUInt32LE(12, 4);
  file.writeFloatLE(value, 8);
  file.writeUInt16LE(fields.length, 12);
  fields.forEach(([tag, type, own], k) => {
    const at = 14 + 12 * k;
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(type, at + 2);
    file.writeUInt32LE(1, at + 4);
    file.writeUInt32LE(own, at + 8);
  });
  return file;
}

async function firstPixel(content: Buffer, options: Parameters<typeof packImages>[1] = {}): Promise<number[]> {
  const { tensors } = await packImages(await folderOf({ "cat/1.png": content }), options);
  const [, channels = 0, height = 0, width = 0] = tensors.x?.dims ?? [];
  return Array.from({ length: channels }, (_, c) => Number(tensors.x?.data[c * height * width]));
}

describe("folders", () => {
  test("that are hidden are no classes, and hidden files no pictures", async () => {
    const path = await folderOf({
      "cat/1.png": await png(),
      "cat/._1.png": "the resources of a Macintosh",
      "cat/.ipynb_checkpoints/1.png": await png(),
      ".git/1.png": await png(),
      "__MACOSX/cat/._1.png": "the same",
      "cat/Thumbs.db": "",
    });
    const { classNames, ids } = await packImages(path);
    expect({ classNames, ids }).toEqual({ classNames: ["cat"], ids: ["cat/1.png"] });
  });

  test("inside the folder of a class belong to it", async () => {
    const path = await folderOf({ "cat/a/1.png": await png(), "cat/2.png": await png(), "dog/b/c/3.png": await png() });
    const { classNames, ids, tensors } = await packImages(path);
    expect({ classNames, ids }).toEqual({
      classNames: ["cat", "dog"],
      ids: ["cat/2.png", "cat/a/1.png", "dog/b/c/3.png"],
    });
    expect(tensors.target?.data).toEqual(BigInt64Array.of(0n, 0n, 1n));
  });

  test("that are files are refused as such", async () => {
    const path = await folderOf({ "cat/1.png": await png() });
    await expect(packImages(join(path, "cat", "1.png"))).rejects.toThrow(
      /1\.png" is no folder; give the one that holds/,
    );
    await expect(packImages(join(path, "dog"))).rejects.toThrow(/dog": it does not exist/);
  });

  test("that lead back to a folder around them are refused, since their pictures would count again", async () => {
    const path = await folderOf({ "cat/1.png": await png(), "dog/a/2.png": await png() });
    symlinkSync(path, join(path, "dog", "a", "back"));
    await expect(packImages(path)).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringMatching(/back" leads back to a folder that it lies in; remove it\.$/),
    });
  });

  test.each([
    ["a picture in no class", "1.png", /is in no folder of a class/],
    ["a picture of a format that sharp does not read", "cat/2.bmp", /a format that sharp does not read/],
  ])("with %s are refused", async (_, name, message) => {
    const path = await folderOf({ "cat/1.png": await png(), [name]: await png() });
    await expect(packImages(path)).rejects.toMatchObject({
      code: "FILE_UNREADABLE",
      message: expect.stringMatching(message),
    });
  });

  test("that are packed apart have the numbers of the given classes, and no others", async () => {
    const path = await folderOf({ "dog/1.png": await png() });
    const classes = ["bird", "dog"];
    const { tensors, classNames } = await packImages(path, { classes });
    expect(tensors.target?.data).toEqual(BigInt64Array.of(1n));
    expect(classNames).toEqual(classes);
    await expect(packImages(path, { classes: ["bird"] })).rejects.toThrow(
      /a folder "dog", which is none of the classes/,
    );
  });
});

describe("pictures", () => {
  // 0.299 r + 0.587 g + 0.114 b, as PIL 13 gives them for convert("L").
  test.each([
    [red, 75],
    [{ r: 255, g: 255, b: 255 }, 255],
    [{ r: 0, g: 0, b: 255 }, 29],
    [{ r: 1, g: 128, b: 254 }, 104],
  ])("%j in grey are %d", async (background, grey) => {
    expect(await firstPixel(await png(background), { grey: true })).toEqual([grey]);
  });

  test("that are transparent keep their colours, resized or not", async () => {
    const pixels = Buffer.from([200, 20, 30, 0, 200, 20, 30, 0]);
    const content = await sharp(pixels, { raw: { width: 2, height: 1, channels: 4 } })
      .png()
      .toBuffer();
    expect(await firstPixel(content)).toEqual([200, 20, 30]);
    expect(await firstPixel(content, { size: { width: 4, height: 4 } })).toEqual([200, 20, 30]);
  });

  test("of sixteen bits keep the upper eight, and those with a palette or in grey have three channels", async () => {
    const deep = sharp(Uint16Array.of(0x1280), { raw: { width: 1, height: 1, channels: 1 } });
    expect(await firstPixel(await deep.toColourspace("grey16").png().toBuffer())).toEqual([0x12, 0x12, 0x12]);
    expect(
      await firstPixel(
        await sharp(await png())
          .png({ palette: true })
          .toBuffer(),
      ),
    ).toEqual([200, 20, 30]);
    const grey = await sharp(await png({ r: 9, g: 9, b: 9 }))
      .toColourspace("b-w")
      .png()
      .toBuffer();
    expect(await firstPixel(grey)).toEqual([9, 9, 9]);
  });

  test("of floats are refused", async () => {
    const path = await folderOf({ "cat/1.tif": tiffOfFloat(0.5) });
    await expect(packImages(path)).rejects.toThrow(/numbers of the kind float.*convert it to 8 or 16 bits/);
  });

  test("that move count with their first frame", async () => {
    const frames = Buffer.concat([Buffer.alloc(12, 250), Buffer.alloc(12, 5)]);
    const content = await sharp(frames, { raw: { width: 2, height: 4, channels: 3, pageHeight: 2 } })
      .webp({ lossless: true })
      .toBuffer();
    expect(await firstPixel(content)).toEqual([250, 250, 250]);
  });

  test.each([
    [{ size: { width: 0, height: 2 } }, /size must be/],
    [{ input: "target" }, /"target"/],
    [{ gray: true }, /no option "gray"; did you mean "grey"/],
  ])("packed with %j are refused", async (options: object, message) => {
    await expect(packImages(temporaryFolder(), options)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(message),
    });
  });
});
