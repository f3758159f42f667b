// Image windows: found by id, and closed on every path.

function findWindow(id) {
   var found = ImageWindow.windowById(id);
   if (found.isNull)
      throw new Error("there is no image window '" + id + "'");
   return found;
}

function openWindowIds() {
   return (ImageWindow.windows || []).map(function (open) { return open.mainView.id; });
}

// Close the named windows (hidden ones may not be listed) and all that were not open before.
function closeWindows(ids, idsBefore) {
   ids.concat(openWindowIds()).forEach(function (id) {
      var open = ImageWindow.windowById(id);
      if (idsBefore.indexOf(id) < 0 && !open.isNull)
         open.forceClose();
   });
}
