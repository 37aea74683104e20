// Runs an example of Documentation/Webhooks.md on webhooks: JSON in, JSON out, for each whether the example accepts it.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { verify } = await import(pathToFileURL(process.argv[2]));

function accepts({ secret, headers, body }) {
  try {
    verify(secret, headers, Buffer.from(body, "base64"));
    return true;
  } catch {
    return false;
  }
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(accepts)));
