// The next connection asks for what came after the last thing on this page.

const room = document.querySelector("main");
let connection;

room.addEventListener("htmx:ws:before:connection", ({ detail }) => {
  connection = detail.connection;
});

room.addEventListener("htmx:ws:after:message:incoming", ({ detail: { message } }) => {
  const cursor = [...message.data.matchAll(/ data-feed="([\w-]+)"/g)].at(-1)?.[1];
  if (cursor) connection.url = connection.url.replace(/since=[\w-]*/, `since=${cursor}`);
});
