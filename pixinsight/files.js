// Files and folders; ASCII text only.

function folderOf(path) {
   return path.slice(0, path.lastIndexOf("/"));
}

function makeFolder(path) {
   if (!File.directoryExists(path))
      File.createDirectory(path, true);
}

function removeFile(path) {
   if (File.exists(path))
      File.remove(path);
}

// Replace a file by another. This takes two steps: File.move does not overwrite files.
function replaceFile(path, by) {
   removeFile(path);
   File.move(by, path);
}

// In V8 some numbers of PixInsight are BigInt, for which JSON.stringify throws an error.
function asciiJson(value, indent) {
   var text = JSON.stringify(value, function (name, item) {
      return typeof item === "bigint" ? Number(item) : item;
   }, indent);
   return text.replace(/[\u007f-\uffff]/g, function (character) {
      return "\\u" + ("0000" + character.charCodeAt(0).toString(16)).slice(-4);
   });
}

function writeJson(path, value, indent) {
   File.writeTextFile(path + ".tmp", asciiJson(value, indent) + "\n");
   replaceFile(path, path + ".tmp");
}
