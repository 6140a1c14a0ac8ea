SwaggerUIBundle({
  url: "/api/schema/",
  dom_id: "#swagger-ui",
  deepLinking: true,
  // A validator would be another network.
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
