// Image windows: find them by id, and close them also after errors.

function findWindow(id) {
   var imageWindow = ImageWindow.windowById(id);
   if (imageWindow.isNull)
      throw new Error("there is no image window '" + id + "'");
   return imageWindow;
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
